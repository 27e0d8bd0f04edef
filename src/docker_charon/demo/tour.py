"""The tour: a delivery, an update as a delta, both pushed, between two embedded registries."""

from __future__ import annotations

import contextlib
import shlex
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from docker_charon.demo.image import LAYER, Parts, build, put
from docker_charon.errors import DockerCharonError
from docker_charon.payload.reader import open_payload
from docker_charon.progress import shown_size
from docker_charon.registry.client import RegistryClient
from docker_charon.registry.session import Access
from docker_charon.server import serve
from docker_charon.transfer.make import make_payload
from docker_charon.transfer.push import push_payload_to_registry

_REPOSITORY = "my-image"

Show = Callable[[str], None]


def run_demo(show: Show = print, keep: Path | None = None) -> None:
    """Run the whole trip in this process, and tell each step by the command that does the same.

    Two registries on free ports of this machine, an image of two platforms with a signature, its
    first version and, as a delta, its second. No network is needed. ``keep`` is a directory, new or
    empty, in which the payloads and both registries' storages stay.

    Raises `DockerCharonError` when something of it fails, or ``keep`` holds something already.
    """
    with contextlib.ExitStack() as stack:
        folder = keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if keep is not None:
            _claim(keep)
        connected, gapped = folder / "connected", folder / "air-gapped"
        source = stack.enter_context(serve(storage=connected)).address
        destination = stack.enter_context(serve(storage=gapped)).address
        show(f"# a registry on the connected side:  {source}")
        show(f"# a registry on the air-gapped side: {destination}")
        show("")
        tour = _Tour(show, source, destination, folder if keep else Path())
        rows = [tour.deliver(folder, version) for version in (1, 2)]
        for line in _table(rows):
            show(line)
        if keep is not None:
            show("")
            show(f"# everything is in {keep}; to look at it:")
            for command in (
                f"inspect-payload -f {shlex.quote(str(keep / 'payload-2.zip'))}",
                f"serve --storage {shlex.quote(str(gapped))}",
            ):
                show(f"$ docker-charon {command}")


def _claim(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise DockerCharonError(f"{folder} is not empty", hint="name another directory")
    except OSError as error:
        raise DockerCharonError(f"cannot use {folder}: {error.strerror}") from error


@dataclass(frozen=True, slots=True)
class _Row:
    """What became of one version."""

    name: str
    layers: int
    carried_layers: int
    size: int
    payload: int
    seconds: float
    equal: bool


class _Tour:
    """The trip of every version, from one registry to the other."""

    def __init__(self, show: Show, source: str, destination: str, shown_folder: Path) -> None:
        self._show = show
        self._source = source
        self._destination = destination
        self._folder = shown_folder

    def deliver(self, folder: Path, version: int) -> _Row:
        """Build a version, carry it over and compare what has arrived."""
        name = f"{_REPOSITORY}:{version}"
        self._show(f"# version {version} is built and signed on the connected side")
        parts = build(version)
        with RegistryClient(self._source, Access(secure=False)) as client:
            put(client, _REPOSITORY, str(version), parts)
        payload, earlier = (folder / f"payload-{n}.zip" for n in (version, version - 1))
        base = ["--already-transferred-payload", earlier] if version > 1 else []
        started = time.monotonic()
        self._tell("make-payload", self._source, payload, "--include-referrers", *base, name)
        make_payload(
            self._source,
            payload,
            [name],
            secure=False,
            include_referrers=True,
            payloads_already_transferred=[earlier] if version > 1 else [],
            progress=False,
        )
        self._show(f"# {payload.name} has {payload.stat().st_size:,} bytes: carry it across")
        self._tell("push-payload", self._destination, payload, "--strict")
        for pushed in push_payload_to_registry(
            self._destination, payload, strict=True, secure=False, progress=False
        ):
            self._show(pushed)
        self._show("")
        seconds = time.monotonic() - started
        layers = {digest for digest, part in parts.blobs.items() if part.media_type == LAYER}
        with open_payload(payload) as opened:
            carried = opened.carried
        return _Row(
            name=name,
            layers=len(layers),
            carried_layers=len(layers & carried),
            size=sum(len(part.content) for part in parts.blobs.values()),
            payload=payload.stat().st_size,
            seconds=seconds,
            equal=self._is_equal(parts),
        )

    def _tell(self, command: str, registry: str, payload: Path, *more: object) -> None:
        words = [f"-r {registry} --insecure", "-f", self._folder / payload.name]
        words += [self._folder / each.name if isinstance(each, Path) else each for each in more]
        self._show(f"$ docker-charon {command} {' '.join(map(str, words))}")

    def _is_equal(self, parts: Parts) -> bool:
        """Whether the other side has every byte."""
        with RegistryClient(self._destination, Access(secure=False)) as client:
            return all(
                client.get_manifest(_REPOSITORY, manifest.digest).content == manifest.content
                for manifest in parts.manifests
            ) and all(
                client.read_blob(_REPOSITORY, part.descriptor) == part.content
                for part in parts.blobs.values()
            )


def _table(rows: Sequence[_Row]) -> Iterator[str]:
    yield "IMAGE         LAYERS  CARRIED  IMAGE SIZE   PAYLOAD    TIME  BYTES"
    for row in rows:
        yield (
            f"{row.name:<12}{row.layers:>8}{row.carried_layers:>9}{shown_size(row.size):>12}"
            f"{shown_size(row.payload):>10}{row.seconds:>7.2f}s  "
            + ("equal on both sides" if row.equal else "DIFFERENT")
        )
    if not all(row.equal for row in rows):
        raise DockerCharonError("the images differ", hint="please report it")
