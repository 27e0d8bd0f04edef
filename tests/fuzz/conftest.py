"""The settings of hypothesis: the same examples in every run, and no files left behind."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis.configuration import set_hypothesis_home_dir

set_hypothesis_home_dir(Path(tempfile.gettempdir()) / "docker-charon-hypothesis")
settings.register_profile(
    "same-every-time",
    derandomize=True,
    database=None,
    deadline=None,  # a slow machine must not fail a test
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", "200")),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("same-every-time")
