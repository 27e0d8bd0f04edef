"""What can go wrong, as one tree.

::

    DockerCharonError
    ├── InvalidReference      the name of an image or of a registry that cannot be one
    ├── InvalidPlatform       what is no OS/ARCH[/VARIANT]
    ├── InvalidDigest         neither sha256 with 64 nor sha512 with 128 hexadecimal digits
    ├── InvalidManifest       not an image manifest or index of the kinds that are carried
    ├── DigestMismatch        bytes that are not the content that was asked for
    ├── PayloadError          a payload that cannot be read, is incomplete, or cannot be written
    ├── DeltaError            a difference between layers that cannot be made or applied
    │   └── UnfitLayer        a layer that no difference can be made of: it travels whole
    ├── ServerError           an embedded registry that cannot start: its address, its directory
    └── RegistryError         a registry that cannot be reached, refuses, or answers nonsense
        ├── ConnectionFailed      nothing answers there, or the connection broke
        ├── AuthenticationError   it wants a login, or another one
        ├── ManifestNotFound      it has no such image, or holds another one under that name
        └── BlobNotFound          it lacks a blob of an image

Nothing else reaches a caller, save ``TypeError`` for arguments of the wrong type and
``KeyboardInterrupt``.
"""

from __future__ import annotations

from pathlib import Path

_LONGEST = 1000  # characters of a message, in which a stranger's name may be of any length


def one_line(text: str) -> str:
    """Return ``text``, some of which may be a stranger's, fit for one line of a terminal."""
    return "".join(character if character.isprintable() else " " for character in text)


class DockerCharonError(Exception):
    """The base of everything that this package raises.

    ``message`` says what failed, and ``hint`` what to do next; both are one line, and ``str`` joins
    them. ``partial`` is the file with what was fetched before the failure, if there is any: the
    same call goes on from it.
    """

    partial: Path | None = None

    def __init__(self, message: str, *, hint: str = "") -> None:
        if len(message) > _LONGEST:
            message = f"{message[: _LONGEST - 3]}..."
        self.message = one_line(message)
        self.hint = one_line(hint)
        super().__init__(self.message)

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message


class InvalidReference(DockerCharonError):
    """The name of an image, a repository or a registry that breaks the grammar."""


class InvalidPlatform(DockerCharonError):
    """The name of a platform that cannot be one."""


class InvalidDigest(DockerCharonError):
    """A digest of an unknown algorithm, or of the wrong length."""


class InvalidManifest(DockerCharonError):
    """A document that is not a manifest or an index of the kinds that are carried."""


class DigestMismatch(DockerCharonError):
    """Content that is longer, shorter or other than its descriptor says."""


class PayloadError(DockerCharonError):
    """A payload that cannot be read, lacks something, or cannot be written."""


class DeltaError(DockerCharonError):
    """A difference between layers that is damaged, does not fit, or cannot be made here."""


class UnfitLayer(DeltaError):
    """A layer that is neither gzip nor a tar, is damaged, or has too many tiny blocks."""


class ServerError(DockerCharonError):
    """An embedded registry that cannot start: its address is taken, or its directory unfit."""


class RegistryError(DockerCharonError):
    """A registry that cannot be reached, refuses, or does not answer as a registry does.

    ``status`` is the HTTP status of its answer, where there was one, and ``code`` the error
    code that it gave (OCI distribution-spec 1.1, "Error Codes").
    """

    def __init__(
        self, message: str, *, hint: str = "", status: int | None = None, code: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.code = code


class ConnectionFailed(RegistryError):
    """Nothing answers at the registry's address, or the connection broke more than once."""


class AuthenticationError(RegistryError):
    """The registry, or its token service, does not let this user do this."""


class ManifestNotFound(RegistryError):
    """The registry has no such manifest, or holds another one under that name."""


class BlobNotFound(RegistryError):
    """The registry lacks a blob that an image needs."""
