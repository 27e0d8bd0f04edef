"""Chosen tags: what the choices in a list of images become, from the tags that a registry lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from docker_charon.errors import (
    AuthenticationError,
    ConnectionFailed,
    DockerCharonError,
    ManifestNotFound,
    RegistryError,
)
from docker_charon.messages import get_logger
from docker_charon.oci.reference import Reference, is_tag
from docker_charon.progress import counted
from docker_charon.transfer.failed_images import FailedImages
from docker_charon.transfer.naming.image_choice import ImageChoice
from docker_charon.transfer.sources import Sources
from docker_charon.workers import Workers

_MOST_SHOWN = 10
"""Tags in one message."""

_log = get_logger(__name__)


def checked_newest(newest: int | None, wanted: Mapping[str, Reference | ImageChoice]) -> int | None:
    """Return how many versions of each choice to take; ``None`` takes all of them.

    Raises `DockerCharonError` if it is less than one, or if there is no choice in ``wanted``.
    """
    if newest is None:
        return None
    if type(newest) is not int:
        raise TypeError(f"newest is an int, not {type(newest).__name__}")
    if newest < 1:
        raise DockerCharonError(f"the {newest} newest tags are none", hint="give 1 or more")
    if not any(isinstance(image, ImageChoice) for image in wanted.values()):
        raise DockerCharonError(
            "the newest tags are wanted, and no image has a choice of tags",
            hint="write a choice as my-image:* or my-image:>=1.8",
        )
    return newest


class ChosenTags:
    """Replaces choices by the images that they choose. The tags of a repository are listed once.

    Choices that fail are added to ``failed``.
    """

    def __init__(self, sources: Sources, failed: FailedImages, workers: Workers) -> None:
        self._sources = sources
        self._failed = failed
        self._workers = workers
        self._listed: dict[str, list[str] | RegistryError] = {}

    def references(
        self,
        wanted: Mapping[str, Reference | ImageChoice],
        newest: int | None = None,
        *,
        already_transferred: bool = False,
    ) -> dict[str, Reference]:
        """Return ``wanted`` with the chosen images in the place of each choice, by their names.

        ``newest`` is described in `TagChoice.choose`. What each choice has become is logged.
        ``already_transferred`` says which images a choice that fails belongs to.
        """
        choices = [image for image in wanted.values() if isinstance(image, ImageChoice)]
        new = dict.fromkeys(c.repository for c in choices if c.repository not in self._listed)
        self._listed.update(zip(new, self._workers.map(self._list, new), strict=True))
        references: dict[str, Reference] = {}
        for name, image in wanted.items():
            if isinstance(image, Reference):
                references[name] = image
                continue
            try:
                tags = self._choose(image, newest)
            except DockerCharonError as error:
                failed = Reference(image.repository, image.tags.text, None)
                self._failed.expect({name: failed}, already_transferred=already_transferred)
                self._failed.add(failed, error)
                continue
            _log.info("%s is %s", image, _shown(tags))
            for tag in tags:
                references[f"{image.name}:{tag}"] = Reference(image.repository, tag, None)
        return references

    def _choose(self, choice: ImageChoice, newest: int | None) -> list[str]:
        listed = self._listed[choice.repository]
        if isinstance(listed, RegistryError):
            raise listed
        tags = choice.tags.choose(listed, newest)
        if tags:
            return tags
        registry, name = self._sources.locate(choice.repository)
        matching = choice.tags.choose(listed)
        if matching:
            raise ManifestNotFound(
                f"{registry} has no tag {choice.tags.text} of {name} that counts as a release",
                hint=f"of {_shown(matching)}, write out what follows the version, for example "
                "1.8.*-alpine or 1.8.*-rc*",
                status=404,
            )
        from docker_charon.transfer.naming.tag_choice import newest_first

        images = newest_first(listed)
        raise ManifestNotFound(
            f"{registry} has no tag {choice.tags.text} of {name}",
            hint=f"it has {_shown(images)}",
            status=404,
        )

    def _list(self, repository: str) -> list[str] | RegistryError:
        """Return the tags of a repository, or why they cannot be listed."""
        try:
            client, name = self._sources.client(repository)
        except RegistryError as error:
            return error
        try:
            return [tag for tag in client.tags(name) if is_tag(tag)]
        except RegistryError as error:
            if isinstance(error, AuthenticationError):
                if not error.login_refused:
                    error.hint = "log in as a user who may list the tags, or name them"
            elif not isinstance(error, (ConnectionFailed, ManifestNotFound)):
                error.hint = "name the tags instead of choosing them"
            return error


def _shown(tags: Sequence[str]) -> str:
    """Return how many tags there are, and the first and the last of them."""
    shown = [*tags]
    if len(tags) > _MOST_SHOWN:
        shown = [*tags[: _MOST_SHOWN - 2], "...", tags[-1]]
    return f"{counted(len(tags), 'tag')}{': ' if tags else ''}{', '.join(shown)}"
