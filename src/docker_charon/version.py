"""The version of docker-charon, as of the package on PyPI."""

from __future__ import annotations

VERSION = "1.0.0"
