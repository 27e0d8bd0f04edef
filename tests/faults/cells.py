"""A cell of the table: one fault, one kind of request, and what becomes of the images."""

from __future__ import annotations

import contextlib
import io
import itertools
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import images
import registries
from docker_charon import DockerCharonError, make_payload, push_payload_to_registry
from docker_charon.oci.image import Image, NamedImage
from docker_charon.oci.manifest import Manifest
from docker_charon.oci.reference import Reference
from docker_charon.payload.format import payload_entries
from docker_charon.payload.writer import write_payload
from docker_charon.registry import access, retry
from docker_charon.registry import http as transport
from docker_charon.transfer.plan import plan_make
from faults.operations import APP, BASE
from images import TestImage
from proxy import Proxy, Rule

SURVIVED = "survived"
TOLD = "clear error"
TOLD_AND_THERE = "clear error, yet all is there"
"""The registry did what it was asked for, and only its answer was lost."""
QUICK = retry.RetryPolicy(tries=3, backoff=0.001, when_away=False)
HANG = 20.0
"""Seconds; what takes longer is taken for something that never ends."""


@contextlib.contextmanager
def quickly(read_timeout: float) -> Iterator[None]:
    """Wait not at all between two tries, and not long for a server that says nothing.

    There are as few tries as "twice" needs.
    """
    with (
        mock.patch.object(access, "RETRY", QUICK),
        mock.patch.object(transport, "READ_TIMEOUT", read_timeout),
        mock.patch.object(transport, "STORE_TIMEOUT", read_timeout),
        mock.patch.object(retry, "time", SimpleNamespace(sleep=lambda _: None)),
    ):
        yield


class QuickProxy(Proxy):
    """A proxy that ends as soon as it is left: there are hundreds of them, one after the other."""

    def __enter__(self) -> Proxy:
        threading.Thread(target=self._server.serve_forever, args=(0.002,), daemon=True).start()
        return self


class Sides:
    """The registries of both sides, which all cells share, and the payload that is right."""

    def __init__(self, source: str, destination: str, folder: Path) -> None:
        self.source = source
        self.destination = destination
        self._folder = folder
        self._numbers = itertools.count()
        images.put(source, "app:1", APP)
        images.put(destination, "base:1", BASE)
        make_payload(source, folder / "right.zip", ["app:1"], secure=False)
        self.right = (folder / "right.zip").read_bytes()

    def make(self, rules: Sequence[Rule], jobs: int = 1, *, must_happen: bool = True) -> str:
        """Make a payload through a proxy with these rules; return the outcome."""
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            target = Path(folder) / "p.zip"
            with QuickProxy(self.source, rules) as proxy:
                error = outcome_of(
                    lambda: make_payload(proxy.address, target, ["app:1"], secure=False, jobs=jobs)
                )
                if must_happen:
                    _see_that_all_happened(proxy, rules)
            left = {path.name: path.read_bytes() for path in Path(folder).iterdir()}
        if error is None:
            return SURVIVED if left == {"p.zip": self.right} else f"wrong bytes in {[*left]}"
        if isinstance(error, str):
            return error
        told = {error.partial.name} if error.partial else set()
        return TOLD if left.keys() == told else f"left {[*left]} and told {told}"

    def push(self, rules: Sequence[Rule], jobs: int = 1, *, must_happen: bool = True) -> str:
        """Push a payload through a proxy with these rules; return the outcome."""
        name = f"cell{next(self._numbers)}/app:1"
        file = payload_of({name: APP, "base:1": BASE}, ["base:1"])
        pushed: list[str] = []
        with QuickProxy(self.destination, rules) as proxy:
            error = outcome_of(
                lambda: pushed.extend(
                    push_payload_to_registry(proxy.address, file, True, secure=False, jobs=jobs)
                )
            )
            if must_happen:
                _see_that_all_happened(proxy, rules)
        if isinstance(error, str):
            return error
        there = images.read(self.destination, name)
        if there not in (None, APP.contents()):
            return "a tag of an incomplete image"
        if error is None:
            return SURVIVED if there and pushed == [name, "base:1"] else f"{pushed} is not true"
        return TOLD_AND_THERE if there else TOLD


@contextlib.contextmanager
def both_sides() -> Iterator[Sides]:
    """Run both registries, with the images in their places."""
    with (
        tempfile.TemporaryDirectory() as name,
        registries.docker_registry(Path(name) / "source") as source,
        registries.docker_registry(Path(name) / "destination") as destination,
    ):
        folder = Path(name) / "payloads"
        folder.mkdir()
        yield Sides(source, destination, folder)


def outcome_of(flow: Callable[[], object]) -> DockerCharonError | str | None:
    """Run it; return its clear error, or what is wrong with how it ended, or ``None``."""
    ends: list[BaseException | None] = []

    def run() -> None:
        try:
            flow()
            ends.append(None)
        except BaseException as error:
            ends.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(HANG)
    if not ends:
        return "hang"
    error = ends[0]
    if isinstance(error, DockerCharonError):
        return error if str(error).isprintable() and str(error) else f"not a line: {error!r}"
    return None if error is None else f"traceback: {error!r}"


def _see_that_all_happened(proxy: Proxy, rules: Sequence[Rule]) -> None:
    """Fail where the flow never came to what was to go wrong."""
    happened = [request.action for request in proxy.requests]
    assert all(rule.action in happened for rule in rules), f"{rules} of {proxy.requests}"


def payload_of(wanted: dict[str, TestImage], already: Sequence[str] = ()) -> io.BytesIO:
    """Return a payload of these images, as one is made, without a registry."""
    contents = {digest: c for one in wanted.values() for digest, c in one.contents().items()}
    named = []
    for name, one in wanted.items():
        root = Manifest.parse(one.manifest)
        image = Image.collect(root, lambda child: Manifest.of(child, contents[child.digest]))
        named.append(NamedImage(name, Reference.parse(name), image))
    plan = plan_make(named, [one for one in named if one.name in already])
    file = io.BytesIO()
    write_payload(
        file,
        payload_entries(plan),
        lambda blob, _, __: contextlib.nullcontext(_Content(contents[blob.digest])),
    )
    file.seek(0)
    return file


class _Content(io.BytesIO):
    """A blob that is at hand."""

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # one kind of buffer
        return super().readinto(buffer)
