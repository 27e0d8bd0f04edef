"""A reference: the name of an image inside one registry."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from docker_charon.errors import InvalidDigest, InvalidReference
from docker_charon.oci.digest import Digest

# OCI distribution-spec 1.1, "Pulling manifests". 255 characters is what registries hold.
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
LONGEST_TAG = 128  # characters
_TAG = re.compile(rf"[a-zA-Z0-9_][a-zA-Z0-9._-]{{0,{LONGEST_TAG - 1}}}")
_LONGEST_REPOSITORY = 255


@dataclass(frozen=True, slots=True)
class Reference:
    """An image's name inside one registry: ``repository[:tag][@digest]``.

    A name with neither tag nor digest means the tag ``latest``.
    """

    repository: str
    tag: str | None
    digest: Digest | None

    @classmethod
    def parse(cls, name: str) -> Reference:
        """Read a name as a user writes it; raise `InvalidReference` when it is not one."""
        rest, at, digest_text = name.partition("@")
        repository, colon, tag = rest.partition(":")
        check_repository(repository, name)
        if colon:
            try:
                check_tag(tag)
            except InvalidReference as error:
                hint = "the registry is given apart from the names of images" if "/" in tag else ""
                raise InvalidReference(
                    f"{_shown(name)} is not an image's name: {error}", hint=hint
                ) from None
        digest = None
        if at:
            try:
                digest = Digest(digest_text)
            except InvalidDigest as error:
                raise InvalidReference(f"{_shown(name)} is not an image's name: {error}") from None
        if not colon and not at:
            tag = "latest"
        return cls(repository, tag or None, digest)

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.repository}{tag}{f'@{self.digest}' if self.digest else ''}"

    def under(self, prefix: str) -> Reference:
        """Return it with ``prefix/`` before its repository; raise `InvalidReference` if too long.

        An empty prefix changes nothing.
        """
        return Reference(prefixed(prefix, self.repository), self.tag, self.digest)

    @property
    def source(self) -> str:
        """What to ask a registry for: the digest, where there is one, decides."""
        return self.digest or self.tag or "latest"

    @property
    def target(self) -> str:
        """What to put the manifest under: the tag, where there is one."""
        return self.tag or self.digest or "latest"


def parse_references(names: Iterable[str], parameter: str) -> dict[str, Reference]:
    """Parse names, each once, in their order; ``parameter`` is what a ``TypeError`` calls them."""
    if isinstance(names, (str, bytes)) or hasattr(names, "read"):
        raise TypeError(f"{parameter} is a list of names, neither a single one nor a file")
    names = list(names)
    if not all(isinstance(name, str) for name in names):
        raise TypeError(f"{parameter} is a list of str")
    return {name: Reference.parse(name) for name in names}


def checked_prefix(prefix: str) -> str:
    """Return what stands before repositories, without a slash at its end.

    Raises `InvalidReference` when it is no repository's name itself; an empty one is none at all.
    """
    if not isinstance(prefix, str):
        raise TypeError(f"a prefix is a str, not {type(prefix).__name__}")
    return check_repository(prefix.removesuffix("/"), prefix) if prefix else prefix


def prefixed(prefix: str, repository: str) -> str:
    """Return ``prefix/repository``, checked; an empty prefix changes nothing."""
    return check_repository(f"{prefix}/{repository}") if prefix else repository


def check_repository(repository: str, name: str | None = None) -> str:
    """Return ``repository``; raise `InvalidReference`, naming ``name``, when it is not one."""
    if len(repository) > _LONGEST_REPOSITORY or not _REPOSITORY.fullmatch(repository):
        subject = repository if name is None else name
        problem = f"{_shown(subject)} is not an image's name"
        if not subject.strip():
            raise InvalidReference(problem, hint="it is empty")
        if subject != subject.strip() or "://" in subject:
            raise InvalidReference(problem, hint="write it as repository:tag, nothing around it")
        if repository.lower() != repository:
            raise InvalidReference(problem, hint="repositories are written in lower case")
        if len(repository) > _LONGEST_REPOSITORY:
            raise InvalidReference(problem, hint="a repository has 255 characters at the most")
        raise InvalidReference(
            problem,
            hint="a repository has lower-case letters and digits, between them . _ __ or -, "
            "and its parts are separated by /",
        )
    return repository


def check_tag(tag: object) -> str:
    """Return ``tag``; raise `InvalidReference` when it is not one."""
    if not isinstance(tag, str) or not _TAG.fullmatch(tag):
        raise InvalidReference(f"{_shown(tag)} is not a tag")
    return tag


def _shown(text: object) -> str:
    shown = repr(text)
    return shown if len(shown) <= 120 else f"{shown[:117]}..."
