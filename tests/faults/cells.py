"""A cell of the table: one fault, one kind of request, and what becomes of the images."""

from __future__ import annotations

import contextlib
import functools
import io
import itertools
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import certificates
import images
import registries
from certificates import Certificate
from clock import Clock
from docker_charon import DockerCharonError, make_payload, push_payload_to_registry
from docker_charon.oci.image import Image, NamedImage
from docker_charon.oci.manifest import Manifest
from docker_charon.oci.reference import Reference
from docker_charon.payload.format.entries import payload_entries
from docker_charon.payload.writer import write_payload
from docker_charon.registry import access, rate_limit, response, retry
from docker_charon.registry import http as transport
from docker_charon.registry.retry import ONCE
from docker_charon.transfer.plan import plan_make
from faults import processes
from faults.operations import APP, BASE, BEGUN, OWN, Operation
from faults.rows import SendSignal, Way
from images import TestImage
from proxy import Close, Proxy, Rule
from tunnels import Tunnels

SURVIVED = "survived"
TOLD = "clear error"
TOLD_AND_THERE = "clear error, yet all is there"
"""The registry did what it was asked for, and only its answer was lost."""
STOPPED = "stopped, and the next run finishes"
"""By a signal: with its exit status and one line, and without a payload or an incomplete tag."""
QUICK = retry.RetryPolicy(tries=3, backoff=0.001, longest_wait=2.5, when_away=False)
NAME = "registry.test"
"""The registry behind a proxy: what is on this machine is never asked of a proxy."""
HANG = 60.0
"""Seconds; what takes longer is taken for something that never ends."""


@contextlib.contextmanager
def quickly(read_timeout: float) -> Iterator[None]:
    """Wait not at all between two tries, and not long for a server that says nothing or little.

    There are as few tries as "twice" needs.
    """
    with (
        mock.patch.object(access, "RETRY", QUICK),
        mock.patch.object(transport, "READ_TIMEOUT", read_timeout),
        mock.patch.object(transport, "STORE_TIMEOUT", read_timeout),
        mock.patch.object(retry, "time", SimpleNamespace(sleep=lambda _: None)),
        mock.patch.object(rate_limit, "time", Clock()),
        mock.patch.object(response, "WINDOW", 0.1),
        mock.patch.object(response, "SLOWEST", 2_000),
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

    @functools.cached_property
    def _authority(self) -> Certificate:
        return certificates.authority(self._folder / "authority")

    @functools.cached_property
    def _certificate(self) -> Certificate:
        return certificates.server_certificate(
            self._authority, self._folder / "certificate", (f"DNS:{NAME}",)
        )

    @functools.cache  # noqa: B019  # there is one instance for all cells
    def _begun(self, volume_size: int | None) -> Path:
        """Return a folder with what a run leaves that is stopped inside a blob."""
        folder = self._folder / f"begun-{volume_size}"
        folder.mkdir()
        cut = Rule("GET", f"/blobs/{images.digest_of(OWN)}", Close(after=BEGUN), times=None)
        with QuickProxy(self.source, [cut]) as proxy, mock.patch.object(access, "RETRY", ONCE):
            error = outcome_of(
                lambda: make_payload(
                    *(proxy.address, folder / "p.zip", ["app:1"]),
                    secure=False,
                    jobs=1,
                    volume_size=volume_size,
                )
            )
        assert isinstance(error, DockerCharonError)
        assert error.partial is not None
        return folder

    @contextlib.contextmanager
    def _reached(
        self, registry: str, rules: Sequence[Rule], way: Way
    ) -> Iterator[tuple[Proxy, str, dict[str, Any]]]:
        """Yield what the requests go through, the registry's name, and options of the access."""
        if way is Way.TUNNEL:
            with (
                QuickProxy(registry, rules, certificate=self._certificate) as proxy,
                Tunnels(proxy.address) as tunnels,
                mock.patch.dict(os.environ, {"HTTPS_PROXY": f"http://{tunnels.address}"}),
            ):
                yield proxy, NAME, {"cacert": self._authority.file}
            return
        with QuickProxy(registry, rules) as proxy:
            if way is Way.FORWARDED:
                with mock.patch.dict(os.environ, {"HTTP_PROXY": f"http://{proxy.address}"}):
                    yield proxy, f"{NAME}:5000", {"secure": False}
            else:
                yield proxy, proxy.address, {"secure": False}

    def make(
        self,
        rules: Sequence[Rule],
        jobs: int = 1,
        *,
        operation: Operation | None = None,
        way: Way = Way.DIRECT,
        must_happen: bool = True,
    ) -> str:
        """Make a payload through a proxy with these rules; return the outcome."""
        volume_size = operation.volume_size if operation is not None else None
        with tempfile.TemporaryDirectory(dir=self._folder) as name:
            folder, stopped = Path(name), False
            if operation is not None and operation.goes_on:
                shutil.copytree(self._begun(volume_size), folder, dirs_exist_ok=True)
            with self._reached(self.source, rules, way) as (proxy, registry, options):

                def make(registry: str = registry, **options: Any) -> None:
                    make_payload(
                        *(registry, folder / "p.zip", ["app:1"]),
                        **options,
                        jobs=jobs,
                        volume_size=volume_size,
                    )

                error: DockerCharonError | str | None
                if way is Way.PROCESS:
                    size = [] if volume_size is None else ["--volume-size", f"{volume_size}B"]
                    begin = functools.partial(processes.make, registry, folder / "p.zip", "app:1")
                    error, stopped = _end_of(functools.partial(begin, *size), rules)
                else:
                    error = outcome_of(functools.partial(make, **options))
                if must_happen:
                    _see_that_all_happened(proxy, rules)
            if stopped and error is None:
                if _payload_in(folder) is not None:
                    return f"stopped, and there is {[*folder.iterdir()]}"
                error = outcome_of(lambda: make(self.source, secure=False))
            payload = _payload_in(folder)
            left = {path.name for path in folder.iterdir()}
        if error is None:
            good = STOPPED if stopped else SURVIVED
            return good if payload == self.right else f"wrong bytes in {left}"
        if isinstance(error, str):
            return error
        # Volumes without their list are no payload, and a next run replaces them.
        unknown = {name for name in left if not name[-3:].isdigit()}
        is_told = error.partial.name in left if error.partial else not unknown
        return TOLD if payload is None and is_told else f"left {left} and told {error.partial}"

    def push(
        self,
        rules: Sequence[Rule],
        jobs: int = 1,
        *,
        way: Way = Way.DIRECT,
        must_happen: bool = True,
    ) -> str:
        """Push a payload through a proxy with these rules; return the outcome."""
        name = f"cell{next(self._numbers)}/app:1"
        file = payload_of({name: APP, "base:1": BASE}, ["base:1"])
        pushed: list[str] = []
        stopped = False

        def push(registry: str, **options: Any) -> None:
            file.seek(0)
            pushed.extend(push_payload_to_registry(registry, file, True, **options, jobs=jobs))

        with self._reached(self.destination, rules, way) as (proxy, registry, options):
            error: DockerCharonError | str | None
            if way is Way.PROCESS:
                path = self._folder / f"{name.partition('/')[0]}.zip"
                path.write_bytes(file.getvalue())
                error, stopped = _end_of(
                    functools.partial(processes.push, registry, path, "--strict"), rules
                )
                path.unlink()
            else:
                error = outcome_of(lambda: push(registry, **options))
            if must_happen:
                _see_that_all_happened(proxy, rules)
        if isinstance(error, str):
            return error
        there = images.read(self.destination, name)
        if there not in (None, APP.contents()):
            return "a tag of an incomplete image"
        if error is None:
            if way is Way.PROCESS:  # the next run says what is there
                error = outcome_of(lambda: push(self.destination, secure=False))
                there = images.read(self.destination, name) if stopped else there
            good = STOPPED if stopped else SURVIVED
            is_right = there and pushed == [name, "base:1"] and error is None
            return good if is_right else f"{pushed} is not true"
        return TOLD_AND_THERE if there else TOLD


def _payload_in(folder: Path) -> bytes | None:
    """Return the bytes of a finished payload, of all its volumes."""
    names = {path.name for path in folder.iterdir()}
    if names == {"p.zip"}:
        return (folder / "p.zip").read_bytes()
    if "p.zip.volumes.json" in names and not any(name.endswith(".partial") for name in names):
        return b"".join(path.read_bytes() for path in sorted(folder.glob("p.zip.0*")))
    return None


def _end_of(
    begin: Callable[..., subprocess.Popen[str]], rules: Sequence[Rule]
) -> tuple[str | None, bool]:
    """Run a process to its end; return what is wrong with the end, and whether it was stopped."""
    signals = [rule.action for rule in rules if isinstance(rule.action, SendSignal)]
    with processes.dead_pipe() as dead:
        process = begin() if signals else begin(stderr=dead)
        for action in signals:
            action.process = process
        _, stderr = process.communicate(timeout=HANG)
    wanted = 128 + signals[0].number if signals else 0
    lines = (stderr or "").splitlines()
    if process.returncode != wanted or len(lines) != len(signals):
        return f"it ended with {process.returncode} and {lines}", bool(signals)
    return None, bool(signals)


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
