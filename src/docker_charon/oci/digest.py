"""A digest: the hash that identifies content (OCI image-spec 1.1, descriptor, "Digests")."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from docker_charon.errors import InvalidDigest

if TYPE_CHECKING:
    from hashlib import _Hash

_GRAMMAR = re.compile(r"sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128}")


class Digest(str):
    """``sha256:`` with 64 lower-case hexadecimal digits, or ``sha512:`` with 128.

    Anything else raises `InvalidDigest`, so a digest is always safe to use in a path.
    """

    __slots__ = ()

    def __new__(cls, text: object) -> Digest:
        """Return ``text`` as a digest; raise `InvalidDigest` if it is not one."""
        if not isinstance(text, str) or not _GRAMMAR.fullmatch(text):
            raise InvalidDigest(
                f"{_shown(text)} is not a digest (sha256: with 64 hexadecimal "
                "digits, or sha512: with 128)"
            )
        return super().__new__(cls, text)

    @classmethod
    def of(cls, content: bytes, algorithm: str = "sha256") -> Digest:
        """Return the digest of ``content``; ``algorithm`` is ``sha256`` or ``sha512``."""
        return cls(f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}")

    @property
    def algorithm(self) -> str:
        """``sha256`` or ``sha512``."""
        return self.partition(":")[0]

    @property
    def encoded(self) -> str:
        """The hexadecimal digits."""
        return self.partition(":")[2]

    def hasher(self) -> _Hash:
        """Return a new `hashlib` object for this digest's algorithm."""
        return hashlib.new(self.algorithm)


def _shown(text: object) -> str:
    shown = repr(text)
    return shown if len(shown) <= 100 else f"{shown[:97]}..."
