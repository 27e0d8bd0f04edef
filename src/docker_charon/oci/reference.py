"""A reference: the name of an image inside one registry, or with its registry in front."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import replace

from docker_charon.errors import InvalidDigest, InvalidReference
from docker_charon.messages import hide_login, quoted_name
from docker_charon.oci.digest import Digest
from docker_charon.oci.host import host_in_front, is_docker_hub, split_registry
from docker_charon.value import dataclass

# OCI distribution-spec 1.1, "Pulling manifests". Registries store up to 255 characters.
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
LONGEST_TAG = 128  # characters
_TAG = re.compile(rf"[a-zA-Z0-9_][a-zA-Z0-9._-]{{0,{LONGEST_TAG - 1}}}")
_LONGEST_REPOSITORY = 255

OPERATORS = frozenset("<>=!~^")
"""The characters that a range of versions in the place of a tag begins with; no tag has them."""


@dataclass(frozen=True, slots=True)
class Reference:
    """An image's name inside one registry: ``repository[:tag][@digest]``.

    A name without a tag and a digest means the tag ``latest``. If the images of a payload come from
    several registries, each ``repository`` begins with its registry: ``quay.io/team/app``.
    """

    repository: str
    tag: str | None
    digest: Digest | None

    @classmethod
    def parse(cls, name: str) -> Reference:
        """Parse a name that a user gives; raise `InvalidReference` if it is not valid."""
        if hide_login(name) != name:
            raise InvalidReference(
                f"{quoted_name(name)} is not an image name",
                hint="write it as repository:tag or repository@sha256:..., without https:// and "
                "without a login",
            )
        rest, at, digest_text = name.partition("@")
        first, slash, _ = rest.partition("/")
        if slash and ":" in first:
            raise InvalidReference(
                f"{quoted_name(name)} is not an image name",
                hint="leave out the registry: it is a separate argument",
            )
        repository, colon, tag = rest.partition(":")
        check_repository(repository, name)
        if colon:
            try:
                check_tag(tag)
            except InvalidReference as error:
                raise InvalidReference(
                    f"{quoted_name(name)} is not an image name: {error}", hint=_hint_for_tag(tag)
                ) from None
        digest = None
        if at:
            try:
                digest = Digest(digest_text)
            except InvalidDigest as error:
                raise InvalidReference(
                    f"{quoted_name(name)} is not an image name: {error}"
                ) from None
        if not colon and not at:
            tag = "latest"
        return cls(repository, tag or None, digest)

    @classmethod
    def parse_named(cls, name: str, registries: Collection[str]) -> Reference:
        """Parse a name that may begin with one of ``registries``, which stays in ``repository``.

        ``registries`` are in lower case. Raises `InvalidReference` if the rest is not a valid name.
        """
        registry, rest = split_registry(name, registries)
        reference = cls.parse(rest)
        return replace(reference, repository=joined(registry, reference.repository))

    @classmethod
    def parse_full(cls, name: str) -> Reference:
        """Parse a name that may begin with a registry, by Docker's rule (see `host_in_front`).

        The registry stays in ``repository``, except Docker Hub, which is the registry of names
        without one. Raises `InvalidReference` if the name is not valid.
        """
        if "://" in name or hide_login(name) != name:
            raise InvalidReference(
                f"{quoted_name(name)} is not an image name",
                hint="write it as registry/repository:tag, without https:// and without a login",
            )
        host = host_in_front(name)
        if is_docker_hub(host):
            return cls.parse(name.partition("/")[2])
        return cls.parse_named(name, {host.lower()} if host else ())

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.repository}{tag}{f'@{self.digest}' if self.digest else ''}"

    @property
    def source(self) -> str:
        """The digest or tag to request from a registry: the digest takes precedence."""
        return self.digest or self.tag or "latest"

    @property
    def target(self) -> str:
        """The tag or digest to put the manifest under: the tag takes precedence."""
        return self.tag or self.digest or "latest"


def checked_names(names: Iterable[str], parameter: str) -> list[str]:
    """Return ``names`` as a list; raise ``TypeError`` about ``parameter`` if they are not strings.

    A single string is refused as well: it is not a list of names.
    """
    if isinstance(names, (str, bytes)) or hasattr(names, "read"):
        raise TypeError(f"{parameter} must be a list of names, not a single name or a file")
    names = list(names)
    if not all(isinstance(name, str) for name in names):
        raise TypeError(f"{parameter} must be a list of str")
    return names


def checked_prefix(prefix: str) -> str:
    """Return a prefix for repositories, without a slash at its end; it may be empty.

    Raises ``TypeError``, and `InvalidReference` if it is not a valid repository.
    """
    if not isinstance(prefix, str):
        raise TypeError(f"a prefix must be a str, not {type(prefix).__name__}")
    return check_repository(prefix.removesuffix("/"), prefix) if prefix else prefix


def check_repository(repository: str, name: str | None = None) -> str:
    """Return ``repository``; raise `InvalidReference`, about ``name``, if it is not valid."""
    if len(repository) > _LONGEST_REPOSITORY or not _REPOSITORY.fullmatch(repository):
        subject = repository if name is None else name
        problem = f"{quoted_name(subject)} is not an image name"
        if not subject.strip():
            raise InvalidReference(problem, hint="it is empty")
        if subject != subject.strip() or "://" in subject:
            raise InvalidReference(
                problem, hint="write it as repository:tag, without spaces or https://"
            )
        if repository.lower() != repository:
            raise InvalidReference(problem, hint="write the repository in lower case")
        if len(repository) > _LONGEST_REPOSITORY:
            raise InvalidReference(problem, hint="a repository has at most 255 characters")
        raise InvalidReference(
            problem,
            hint="a repository consists of parts separated by /, each of lower-case letters and "
            "digits with . _ __ or - between them",
        )
    return repository


def check_named_repository(name: str, registries: Collection[str]) -> str:
    """Return a repository that may begin with one of ``registries``, written in lower case.

    Raises `InvalidReference` if it is not valid.
    """
    registry, repository = split_registry(name, registries)
    return joined(registry, check_repository(repository, name))


def joined(*parts: str) -> str:
    """Return parts of a name with slashes between them; empty ones are left out."""
    return "/".join(filter(None, parts))


def _hint_for_tag(tag: str) -> str:
    if not tag:
        return "put quotes around a range of versions in a shell: 'my-image:>=1.8,<2'"
    if "+" in tag:
        underscored = quoted_name(tag.replace("+", "_"))
        return f"a tag has no +, and Helm puts _ in its place: {underscored}"
    return "write several names as a list, each on its own" if "," in tag else ""


def check_tag(tag: object) -> str:
    """Return ``tag``; raise `InvalidReference` if it is not valid."""
    if not isinstance(tag, str) or not is_tag(tag):
        raise InvalidReference(f"{quoted_name(tag)} is not a tag")
    return tag


def is_tag(text: str) -> bool:
    """Whether a text is a valid tag."""
    return _TAG.fullmatch(text) is not None
