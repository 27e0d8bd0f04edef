"""The demo: a delivery and an update as a delta, from one embedded registry to another."""

from __future__ import annotations

import contextlib
import shlex
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from docker_charon.demo.image import LAYER, DemoImage, build, put
from docker_charon.errors import DockerCharonError
from docker_charon.payload.reader import open_payload
from docker_charon.progress import shown_size
from docker_charon.registry.access import Access
from docker_charon.registry.client import RegistryClient
from docker_charon.server import serve
from docker_charon.transfer.make import make_payload
from docker_charon.transfer.push import push_payload_to_registry

_REPOSITORY = "my-image"

Show = Callable[[str], None]
"""It gets each line of the output."""


def run_demo(show: Show = print, keep: Path | None = None) -> None:
    """Run the demo in this process, and show for each step the command that does the same.

    It starts two registries on free ports of this machine. It carries a signed image for two
    platforms: the first version as a whole, the second as a delta. It needs no network. ``keep`` is
    a new or empty directory that keeps the payloads and the storage of both registries.

    Raises `DockerCharonError` when a step fails, or when ``keep`` is not empty.
    """
    with contextlib.ExitStack() as stack:
        folder = keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if keep is not None:
            _create(keep)
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
        if not all(row.is_equal for row in rows):
            raise DockerCharonError("the images differ", hint="please report it")
        if keep is not None:
            show("")
            show(f"# everything is in {keep}; to look at it:")
            show(_command_line("inspect-payload", "-f", keep / "payload-2.zip"))
            show(_command_line("serve", "--storage", gapped))


def _create(folder: Path) -> None:
    """Create a directory; refuse one that is not empty."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise DockerCharonError(f"{folder} is not empty", hint="name another directory")
    except FileExistsError as error:
        raise DockerCharonError(f"cannot use {folder}: it is not a directory") from error
    except OSError as error:
        raise DockerCharonError(f"cannot use {folder}: {error.strerror}") from error


@dataclass(frozen=True, slots=True)
class _Row:
    """The result of one version; sizes are in bytes."""

    name: str
    layers: int
    carried_layers: int
    image_size: int
    payload_size: int
    seconds: float
    is_equal: bool


class _Tour:
    """Carries versions from one registry to the other."""

    def __init__(self, show: Show, source: str, destination: str, shown_folder: Path) -> None:
        self._show = show
        self._source = source
        self._destination = destination
        self._shown_folder = shown_folder

    def deliver(self, folder: Path, version: int) -> _Row:
        """Build a version, carry it across, and compare the result."""
        name = f"{_REPOSITORY}:{version}"
        self._show(f"# version {version} is built and signed on the connected side")
        image = build(version)
        with RegistryClient(self._source, Access(secure=False)) as client:
            put(client, _REPOSITORY, str(version), image)
        payload = folder / f"payload-{version}.zip"
        earlier = [folder / f"payload-{n}.zip" for n in range(1, version)][-1:]
        bases: list[str | Path] = []
        for base in earlier:
            bases += ["--already-transferred-payload", self._shown_folder / base.name]
        started = time.monotonic()
        self._show_command(
            "make-payload", self._source, payload, "--include-referrers", *bases, name
        )
        make_payload(
            self._source,
            payload,
            [name],
            secure=False,
            include_referrers=True,
            payloads_already_transferred=earlier,
            progress=False,
        )
        self._show(f"# {payload.name} has {payload.stat().st_size:,} bytes: carry it across")
        self._show_command("push-payload", self._destination, payload, "--strict")
        for pushed in push_payload_to_registry(
            self._destination, payload, strict=True, secure=False, progress=False
        ):
            self._show(pushed)
        self._show("")
        seconds = time.monotonic() - started
        layers = {digest for digest, blob in image.blobs.items() if blob.media_type == LAYER}
        with open_payload(payload) as opened:
            carried = opened.carried
        return _Row(
            name=name,
            layers=len(layers),
            carried_layers=len(layers & carried),
            image_size=sum(len(blob) for blob in image.blobs.values()),
            payload_size=payload.stat().st_size,
            seconds=seconds,
            is_equal=self._is_equal(image),
        )

    def _show_command(
        self, command: str, registry: str, payload: Path, *arguments: str | Path
    ) -> None:
        file = self._shown_folder / payload.name
        self._show(_command_line(command, "-r", registry, "--insecure", "-f", file, *arguments))

    def _is_equal(self, image: DemoImage) -> bool:
        """Whether the destination has every byte of an image."""
        with RegistryClient(self._destination, Access(secure=False)) as client:
            return all(
                client.get_manifest(_REPOSITORY, manifest.digest).content == manifest.content
                for manifest in image.manifests
            ) and all(
                client.read_blob(_REPOSITORY, blob.descriptor) == blob.content
                for blob in image.blobs.values()
            )


def _command_line(*arguments: str | Path) -> str:
    """Return a command of docker-charon as a user types it in a shell."""
    return f"$ {shlex.join(['docker-charon', *map(str, arguments)])}"


def _table(rows: Sequence[_Row]) -> Iterator[str]:
    yield "IMAGE         LAYERS  CARRIED  IMAGE SIZE   PAYLOAD    TIME  BYTES"
    for row in rows:
        yield (
            f"{row.name:<12}{row.layers:>8}{row.carried_layers:>9}{shown_size(row.image_size):>12}"
            f"{shown_size(row.payload_size):>10}{row.seconds:>7.2f}s  "
            + ("equal on both sides" if row.is_equal else "DIFFERENT")
        )
