"""Sources: the registries that the images of one run come from, as one client."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from docker_charon.errors import DockerCharonError, RegistryError
from docker_charon.oci.descriptor import Descriptor
from docker_charon.oci.digest import Digest
from docker_charon.oci.host import check_host, split_registry
from docker_charon.oci.manifest import Manifest
from docker_charon.registry.access import Access
from docker_charon.registry.blobs import BlobState, BlobStream
from docker_charon.registry.client import RegistryClient, open_source

Open = Callable[[str, Access, int], AbstractContextManager[RegistryClient]]
"""Opens a client of a registry for a number of threads."""

_T = TypeVar("_T")


class Sources:
    """The registries that images come from; each is opened by the first question to it.

    Repositories have their registry in front if that is one of ``hosts`` or of ``known``; all
    others are repositories of ``default``. ``hosts`` are the registries of the images, ``""`` for
    ``default``; ``known`` are others that names may begin with. If there is only one, it is opened
    at once. The hosts in ``insecure`` are asked over plain HTTP. The username and the password in
    ``access`` are sent to ``default`` only.

    Raises `InvalidReference` if a host is not valid. Every question raises what the method of
    `RegistryClient` with its name raises, or what opening the registry has raised.
    """

    def __init__(
        self,
        default: str,
        access: Access,
        jobs: int,
        *,
        hosts: Collection[str] = ("",),
        known: Collection[str] = (),
        insecure: Collection[str] = (),
        opener: Open = open_source,
    ) -> None:
        self._known = {*hosts, *known} - {""}
        self._registries: dict[str, _Registry] = {}
        for host in sorted({"", *self._known}):
            own = access if not host else replace(access, username=None, password=None)
            name = host or default
            if name.lower() in insecure:
                own = replace(own, secure=False, cert=None if len(hosts) > 1 else access.cert)
            self._registries[host] = _Registry(name, own, jobs, opener)
        self._hosts = frozenset(hosts)

    def __enter__(self) -> Sources:
        if not self.are_several:
            self.open_all()
        return self

    def __exit__(self, *_: object) -> None:
        for registry in self._registries.values():
            registry.close()

    @property
    def are_several(self) -> bool:
        """Whether the images come from more than one registry."""
        return len(self._hosts) > 1

    @property
    def registry(self) -> str:
        """The registries of the images, as text for messages."""
        return ", ".join(self._registries[host].name for host in sorted(self._hosts))

    def locate(self, repository: str) -> tuple[str, str]:
        """Return the registry of a repository, and what the repository is called there."""
        registry, name = self._locate(repository)
        return registry.name, name

    def client(self, repository: str) -> tuple[RegistryClient, str]:
        """Return a client of the registry of a repository, and what that is called there."""
        registry, name = self._locate(repository)
        return registry.client(), name

    def open_all(self) -> dict[str, RegistryClient]:
        """Open every registry of the images; return their clients by ``hosts``.

        Raises the error of the registry that cannot be opened, or one that names several.
        """
        clients: dict[str, RegistryClient] = {}
        errors: list[DockerCharonError] = []
        for host in sorted(self._hosts):
            try:
                clients[host] = self._registries[host].client()
            except DockerCharonError as error:
                errors.append(error)
        if len(errors) == 1:
            raise errors[0]
        if errors:
            raise RegistryError(
                f"{len(errors)} registries cannot be read: {'; '.join(map(str, errors))}"
            )
        return clients

    def doubt(self, repository: str) -> RegistryError | None:
        """Return why the registry of a repository may not be one (see `open_source`)."""
        return self._locate(repository)[0].doubt

    def answers(self, repository: str) -> bool:
        """Whether the registry of a repository answers the question that each registry answers."""
        try:
            self.client(repository)[0].check_api()
        except DockerCharonError:
            return False
        return True

    def fastest_first(self, repositories: Iterable[str]) -> list[str]:
        """Return repositories, those of the registry with the fastest answer so far first."""
        return sorted(repositories, key=lambda name: self._locate(name)[0].seconds)

    def get_manifest(self, repository: str, reference: str) -> Manifest:
        """Fetch a manifest, and remember how fast the registry answers."""
        registry, name = self._locate(repository)
        client = registry.client()
        started = time.perf_counter()
        manifest = client.get_manifest(name, reference)
        registry.answered(time.perf_counter() - started)
        return manifest

    def head_manifest(self, repository: str, reference: str) -> Digest | None:
        """Return the digest of a manifest, or ``None`` if the registry has none."""
        return self._ask(repository, RegistryClient.head_manifest, reference)

    def referrers(self, repository: str, subject: Digest) -> list[Descriptor] | None:
        """Return what refers to a manifest, or ``None`` if the registry has no referrers API."""
        return self._ask(repository, RegistryClient.referrers, subject)

    def tags(self, repository: str) -> list[str]:
        """Return every tag of a repository."""
        return self._ask(repository, RegistryClient.tags)

    def head_blob(self, repository: str, digest: Digest) -> int | None:
        """Return the size of a blob in bytes, or ``None`` if the repository has none."""
        return self._ask(repository, RegistryClient.head_blob, digest)

    def blob_state(self, repository: str, blob: Descriptor, *, to_push: bool = False) -> BlobState:
        """Return what a repository has of a blob."""
        client, name = self.client(repository)
        return client.blob_state(name, blob, to_push=to_push)

    def read_blob(self, repository: str, blob: Descriptor) -> bytes:
        """Return the content of a short blob, verified."""
        return self._ask(repository, RegistryClient.read_blob, blob)

    def get_blob(self, repository: str, blob: Descriptor, start: int = 0) -> BlobStream:
        """Open a blob for reading, from the byte ``start`` on."""
        return self._ask(repository, RegistryClient.get_blob, blob, start)

    def _ask(self, repository: str, question: Callable[..., _T], *arguments: Any) -> _T:
        client, name = self.client(repository)
        return question(client, name, *arguments)

    def _locate(self, repository: str) -> tuple[_Registry, str]:
        host, name = split_registry(repository, self._known)
        return self._registries[host], name


class _Registry:
    """One of the registries. If it cannot be opened, every question raises the same error.

    ``seconds`` is the shortest time that it has taken for an answer.
    """

    def __init__(self, name: str, access: Access, jobs: int, opener: Open) -> None:
        check_host(name)
        self.name = name
        self.seconds = math.inf
        self._open = partial(opener, name, access, jobs)
        self._client: RegistryClient | None = None
        self._failure: DockerCharonError | None = None
        self._lock = threading.Lock()
        self._stack = contextlib.ExitStack()

    @property
    def doubt(self) -> RegistryError | None:
        return None if self._client is None else self._client.doubt

    def client(self) -> RegistryClient:
        """Return the client, which is opened the first time."""
        with self._lock:
            if self._failure is not None:
                raise self._failure
            if self._client is None:
                try:
                    self._client = self._stack.enter_context(self._open())
                except DockerCharonError as error:
                    self._failure = error
                    raise
            return self._client

    def answered(self, seconds: float) -> None:
        """Take note of how long an answer took."""
        self.seconds = min(self.seconds, seconds)

    def close(self) -> None:
        """Close the client, if it was opened."""
        self._stack.close()
