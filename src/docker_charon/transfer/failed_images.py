"""The images of one run that cannot be transferred: the error of each, and what follows from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from docker_charon.errors import (
    AuthenticationError,
    ConnectionFailed,
    DigestMismatch,
    DockerCharonError,
    InvalidManifest,
    ManifestNotFound,
    RegistryError,
)
from docker_charon.messages import argument
from docker_charon.oci.digest import Digest
from docker_charon.oci.image import NamedImage
from docker_charon.oci.reference import Reference
from docker_charon.transfer.sources import Sources

_MOST_HINTS = 10
"""Missing images for which the registry is asked for other names."""


class FailedImages:
    """The images of one run that cannot be transferred, with the error of each.

    If there are several registries and one fails, its images fail, and those of the others are
    still looked at. With ``keep_going``, the run goes on without the images that have failed, and
    an error with status 500 or more is one of a single image if its registry still answers. It is
    ``None`` where users cannot choose that; where they can, an error mentions it.
    """

    def __init__(self, sources: Sources, *, keep_going: bool | None = None) -> None:
        self._sources = sources
        self.keep_going = keep_going
        self._errors: dict[Reference, DockerCharonError] = {}
        self._asked: dict[Reference, None] = {}
        self._to_transfer: dict[str, Reference] = {}
        self._already_transferred: set[Reference] = set()
        self._missing: set[Reference] = set()
        self._failed_registries: dict[str, RegistryError] = {}

    def expect(
        self, references: Mapping[str, Reference], *, already_transferred: bool = False
    ) -> None:
        """Note the images that are going to be looked at, by their names."""
        self._asked.update(dict.fromkeys(references.values()))
        if already_transferred:
            self._already_transferred.update(references.values())
        else:
            self._to_transfer.update(references)

    def add(self, reference: Reference, error: DockerCharonError) -> None:
        """Keep the error of one image; raise it if it would concern other images as well."""
        if not self.goes_on_after(error, reference.repository):
            raise error
        self._asked[reference] = None
        self._errors.setdefault(reference, error)

    def add_missing(self, reference: Reference) -> None:
        """Note that the registry does not have an image at all."""
        self._missing.add(reference)

    def goes_on_after(self, error: DockerCharonError, repository: str) -> bool:
        """Whether other images can be looked at after an error about one in ``repository``.

        If it is an error of a whole registry, and there are others, that one is not asked again.
        """
        if self.is_of_one_image(error, repository):
            return True
        if not self._sources.are_several or not isinstance(error, RegistryError):
            return False
        registry, _ = self._sources.locate(repository)
        self._failed_registries.setdefault(registry, error)
        return True

    def is_of_one_image(self, error: DockerCharonError, repository: str) -> bool:
        """Whether an error about an image in ``repository`` concerns only this image."""
        if isinstance(error, ConnectionFailed):
            return False
        if isinstance(error, AuthenticationError):
            return not error.login_refused
        if not isinstance(error, RegistryError):
            return isinstance(error, (InvalidManifest, DigestMismatch))
        if error.status is None:
            return True
        if error.status >= 500:
            return bool(self.keep_going) and self._sources.answers(repository)
        return error.status not in (407, 429)

    def check_registry(self, repository: str) -> None:
        """Raise the error of the registry of a repository, if it has failed."""
        registry, _ = self._sources.locate(repository)
        if registry in self._failed_registries:
            raise self._failed_registries[registry]

    def check(self) -> None:
        """Raise an error that names every image that cannot be transferred, if there is one.

        It is the image's own error, or `ManifestNotFound` for several images. With ``keep_going``
        it is raised only if no image is left, or if an image that was already transferred fails.
        """
        failures = {ref: self._errors[ref] for ref in self._asked if ref in self._errors}
        if not failures:
            return
        registries = self._explain(failures)
        self._errors.update(failures)
        others_remain = self._already_transferred.isdisjoint(failures) and (
            not failures.keys() >= set(self._to_transfer.values())
        )
        if others_remain and self.keep_going:
            return
        hint = ""
        if others_remain and self.keep_going is False:
            option = argument("--keep-going", "keep_going=True")
            hint = f"; {option} makes the payload of the others"
        if len(set(map(id, failures.values()))) == 1 and (
            len(failures) == 1 or not self._sources.are_several
        ):
            (error, *_) = failures.values()
            error.hint = f"{error.hint}{hint}" if error.hint else hint.removeprefix("; ")
            raise error
        raise ManifestNotFound(
            f"{len(failures)} of {len(self._asked)} images cannot be transferred from "
            f"{', '.join(registries)}: {'; '.join(_reasons(failures))}",
            hint=f"correct the list of images, and run the same command again{hint}",
        )

    def by_name(self) -> dict[str, DockerCharonError]:
        """Return the errors of the images to transfer by the names that the user gave."""
        names = self._to_transfer.items()
        return {name: self._errors[ref] for name, ref in names if ref in self._errors}

    def without(
        self, images: Iterable[NamedImage], unreadable: Mapping[Digest, DockerCharonError]
    ) -> list[NamedImage]:
        """Return those images that need none of the unreadable blobs; the others have failed.

        Raises as `check` does.
        """
        images, remaining = list(images), []
        for image in images:
            errors = [unreadable[blob.digest] for blob in image.blobs if blob.digest in unreadable]
            if errors:
                self._errors.setdefault(image.reference, errors[0])
            else:
                remaining.append(image)
        if len(remaining) == len(images):
            raise AssertionError(f"no image needs {', '.join(unreadable)}")
        self.check()
        return remaining

    def _explain(self, failures: dict[Reference, DockerCharonError]) -> list[str]:
        """Improve what the failures say, and return their registries.

        If all images of a host fail that may not be a registry, this is the reason of all of them.
        Other images that are missing get a hint with the names that the user may have meant.
        """
        asked: dict[str, list[Reference]] = {}
        for reference in self._asked:
            asked.setdefault(self._sources.locate(reference.repository)[0], []).append(reference)
        hints = 0
        for references in asked.values():
            doubt = self._sources.doubt(references[0].repository)
            if doubt is not None and failures.keys() >= set(references):
                failures.update(dict.fromkeys(references, doubt))
                continue
            for reference in references:
                if reference in failures and reference in self._missing and hints < _MOST_HINTS:
                    hints += 1
                    from docker_charon.transfer.meant_names import hint_for_missing

                    client, name = self._sources.client(reference.repository)
                    error = failures[reference]
                    there = replace(reference, repository=name)
                    hint = error.hint
                    if reference in self._already_transferred:
                        option = argument(
                            "--already-transferred-payload", "payloads_already_transferred="
                        )
                        hint = f"name the payload that brought it, or an inventory, with {option}"
                    error.hint = hint_for_missing(client, there) or hint
        self._missing.clear()
        return [name for name, refs in asked.items() if not failures.keys().isdisjoint(refs)]


def _reasons(failures: Mapping[Reference, DockerCharonError]) -> list[str]:
    """Return why images cannot be transferred, each reason as a part of one line.

    The images of a registry that fails have the same reason, which is given once.
    """
    names: dict[str, list[str]] = {}
    for reference, error in failures.items():
        reason = f"{error.message}{f' ({error.hint})' if error.hint else ''}"
        own_names = names.setdefault(reason, [])
        if not isinstance(error, ManifestNotFound):  # that names the image itself
            own_names.append(str(reference))
    return [f"{', '.join(n)}: {reason}" if n else reason for reason, n in names.items()]
