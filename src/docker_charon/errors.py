"""The errors that this package raises, as one tree.

::

    DockerCharonError
    ├── InvalidReference      the name of an image, a repository or a registry is invalid
    ├── InvalidPlatform       a platform is not OS/ARCH[/VARIANT]
    ├── InvalidDigest         a digest is neither sha256 nor sha512, or has the wrong length
    ├── InvalidManifest       a document is not a manifest or an index that can be transferred
    ├── DigestMismatch        content does not match its digest or its size
    ├── PayloadError          a payload cannot be read or written, or is incomplete
    ├── DeltaError            a difference between layers cannot be made, read or applied
    │   └── UnfitLayer        no difference can be made of a layer
    ├── ServerError           an embedded registry cannot start
    └── RegistryError         a registry cannot be reached, refuses, or sends an invalid answer
        ├── ConnectionFailed      nothing answers at the address, or the connection broke
        ├── AuthenticationError   the registry needs a login, or refuses the given one
        ├── ManifestNotFound      the registry lacks an image, or its tag names another image
        ├── BlobNotFound          the registry lacks a blob of an image
        └── PushIncomplete        some images or referrers of a payload could not be pushed

A caller sees no other exceptions, except ``TypeError`` for arguments of a wrong type and
``KeyboardInterrupt``.
"""

from __future__ import annotations

from docker_charon.messages import one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


class DockerCharonError(Exception):
    """The base class of all errors of this package.

    ``message`` says what failed and ``hint`` says what to do next; each is one line, and ``str``
    joins them. ``partial`` is the file with the data that was fetched before the failure, or
    ``None``; the same call continues from it.
    """

    partial: Path | None = None
    partial_size: tuple[int, int] | None = None
    """How many bytes are in ``partial``, and how many the whole payload has."""
    _longest = (
        1000  # characters of a message; names in it may come from strangers, and be very long
    )

    def __init__(self, message: str, *, hint: str = "") -> None:
        if len(message) > self._longest:
            message = f"{message[: self._longest - 3]}..."
        self.message = one_line(message)
        self.hint = one_line(hint)
        super().__init__(self.message)

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message


def note_partial(
    error: BaseException, partial: Path, present: int = 0, size: int | None = None
) -> None:
    """Set ``partial`` and ``partial_size`` of an error, or of what interrupts the program.

    ``size`` is ``None`` if it is not known yet.
    """
    partial_size = None if size is None else (present, size)
    if isinstance(error, DockerCharonError):
        error.partial, error.partial_size = partial, partial_size
    else:
        vars(error).update(partial=partial, partial_size=partial_size)


class InvalidReference(DockerCharonError):
    """The name of an image, a repository or a registry does not follow the grammar."""


class InvalidPlatform(DockerCharonError):
    """A platform is not written as ``OS/ARCH`` or ``OS/ARCH/VARIANT``."""


class InvalidDigest(DockerCharonError):
    """A digest is not ``sha256:`` or ``sha512:`` with 64 or 128 hexadecimal digits."""


class InvalidManifest(DockerCharonError):
    """A document is not a manifest or an index of a kind that can be transferred."""


class DigestMismatch(DockerCharonError):
    """Content does not have the size or the digest that its descriptor says."""


class PayloadError(DockerCharonError):
    """A payload cannot be read or written, or it is incomplete."""


class DeltaError(DockerCharonError):
    """A difference between layers cannot be made, read or applied."""


class UnfitLayer(DeltaError):
    """A layer is neither gzip nor a tar, is damaged, or consists of too many tiny blocks."""


class ServerError(DockerCharonError):
    """An embedded registry cannot start, for example because its address is in use."""


class RegistryError(DockerCharonError):
    """A registry cannot be reached, refuses a request, or sends an invalid answer.

    ``status`` is the HTTP status of its answer, and ``code`` is the error code in it (OCI
    distribution-spec 1.1, "Error Codes"); both are ``None`` without an answer. ``retry_after`` is
    the number of seconds to wait before another try, if the registry asks for a wait. ``digests``
    are the digests in its answer. ``elsewhere`` says that the error is about another host, to which
    the registry redirects. ``most_tries`` is a limit on the number of tries, if it is lower than
    usual.
    """

    retry_after: float | None = None
    digests: frozenset[str] = frozenset()
    elsewhere = False
    most_tries: int | None = None

    def __init__(
        self, message: str, *, hint: str = "", status: int | None = None, code: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.code = code


class ConnectionFailed(RegistryError):
    """Nothing answers at the address of the registry, or the connection broke repeatedly.

    ``unreachable`` says that no connection could be made, and ``permanent`` that another try would
    fail in the same way, for example because a certificate is not trusted.
    """

    unreachable = False
    permanent = False


class AuthenticationError(RegistryError):
    """The registry or its token service does not allow this user to do this.

    ``login_refused`` says that the username and the password are wrong, for every request.
    """

    login_refused = False


class ManifestNotFound(RegistryError):
    """The registry lacks a manifest, or its tag names another manifest.

    If several images of a call cannot be transferred, one such error names them all.
    """

    _longest = 20_000


class BlobNotFound(RegistryError):
    """The registry lacks a blob that an image needs."""


class PushIncomplete(RegistryError):
    """Some images or referrers of a payload could not be pushed; all others have been.

    ``pushed`` are the names of the images that the registry has now, as
    `push_payload_to_registry` would return them. ``failed`` has the error of each image that
    failed, by its name. ``failed_referrers`` has those of signatures, SBOMs and other referrers, by
    ``repository@digest`` or ``repository:tag``; their images are not affected.
    """

    def __init__(
        self,
        registry: str,
        pushed: Sequence[str],
        failed: Mapping[str, DockerCharonError],
        failed_referrers: Mapping[str, DockerCharonError],
    ) -> None:
        self.pushed = list(pushed)
        self.failed = dict(failed)
        self.failed_referrers = dict(failed_referrers)
        self.errors = {**self.failed, **self.failed_referrers}
        """The errors of ``failed`` and of ``failed_referrers``."""
        counts = ((len(failed), "image"), (len(failed_referrers), "referrer"))
        self.summary = one_line(
            f"{len(pushed)} of {len(pushed) + len(failed)} images are at {registry}; "
            + " and ".join(f"{n} {noun}{'s' * (n > 1)}" for n, noun in counts if n)
            + " could not be pushed"
        )
        """How many failed, and how many images are there, without the reasons."""
        reasons = "; ".join(f"{name}: {error}" for name, error in self.errors.items())
        super().__init__(f"{self.summary}: {reasons}")
