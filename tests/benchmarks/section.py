"""The parts of the benchmark: what runs against what, and what its table says."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import images
import proxy
import registries
from benchmarks.chart import Bars, Lines, Panel
from benchmarks.contender import (
    JOBS,
    Contender,
    contenders,
    copy,
    make_inventory,
    make_payload,
    push_payload,
)
from benchmarks.measurement import Command, Measurement, measure, medians
from benchmarks.table import Table
from benchmarks.workload import Image, put_image, put_small_images

MB = 1_000_000


@dataclass(frozen=True)
class Scale:
    """How much is carried."""

    layers: int = 10
    layer: int = 100 * MB
    far_layers: int = 16
    far_layer: int = 4 * MB
    far_delay: float = 0.03
    far_rate: int = 8 * MB
    counts: tuple[int, ...] = (100, 200, 400, 800)
    large_layer: int = 600 * MB


QUICK = Scale(
    layer=4 * MB, far_layers=8, far_layer=MB // 2, counts=(10, 20, 40), large_layer=60 * MB
)


@dataclass(frozen=True)
class Result:
    """What a section found, in writing and as a picture."""

    table: Table
    panel: Panel | None = None


@dataclass(frozen=True)
class Bench:
    """What the sections have in common: a registry to make payloads from, room, and patience."""

    source: str
    folder: Path
    runs: int
    scale: Scale

    @contextlib.contextmanager
    def room(self) -> Iterator[Path]:
        """Yield an empty folder, which is gone afterwards."""
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            yield Path(folder)

    @contextlib.contextmanager
    def empty_registry(self) -> Iterator[str]:
        with self.room() as folder, registries.docker_registry(folder) as address:
            yield address

    @contextlib.contextmanager
    def far_away(self, registry: str) -> Iterator[str]:
        """Put a slow line before a registry."""
        command = [sys.executable, str(Path(proxy.__file__)), registry]
        slow = ["--delay", str(self.scale.far_delay), "--rate", str(self.scale.far_rate)]
        with subprocess.Popen([*command, *slow], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            try:
                yield process.stdout.readline().strip()
            finally:
                process.terminate()

    @cached_property
    def contenders(self) -> list[Contender]:
        return list(contenders(self.folder / "older-release"))

    @cached_property
    def image(self) -> Image:
        return self.put("bench", self.scale.layers, self.scale.layer)

    def put(self, repository: str, layers: int, size: int) -> Image:
        print(f"making an image of {layers} x {size / MB:g} MB", file=sys.stderr, flush=True)
        return put_image(self.source, repository, self.folder, [size] * layers)


def making(bench: Bench) -> Result:
    """Bring an image out of a registry into one file, or a folder with one for each blob.

    What `dd` takes to copy such a file is the measure of what the disk can do.
    """
    makers: dict[str, Callable[[Path], Command]] = {
        contender.name: partial(contender.make, bench.source, bench.image)
        for contender in bench.contenders
    }
    names = list(makers)

    def once(maker: Callable[[Path], Command], *, to_disk: bool) -> Measurement:
        with bench.room() if to_disk else _memory() as folder:
            return measure(maker(folder), flushed=folder if to_disk else None)

    with _memory() as folder:
        payload = folder / "payload.zip"
        measure(make_payload(bench.source, [bench.image.name], payload))
        makers[_YARDSTICK] = partial(copy, payload)
        places = {"into memory": False, "flushed to disk": True}
        measured = medians(
            bench.runs,
            {
                (name, place): partial(once, maker, to_disk=to_disk)
                for name, maker in makers.items()
                for place, to_disk in places.items()
            },
        )
    rows = [
        [
            name,
            f"{measured[name, 'into memory'].seconds:.2f}",
            f"{measured[name, 'flushed to disk'].seconds:.2f}",
            f"{measured[name, 'into memory'].cpu:.2f}",
        ]
        for name in makers
    ]
    seconds = {name: measured[name, "flushed to disk"].seconds for name in makers}
    ours = seconds[names[0]] / seconds[_YARDSTICK]
    note = (
        f"{_size(bench.image)} Flushed: until `sync -f` is done. {_YARDSTICK} copies the same "
        f"bytes from memory; {names[0]}, flushed, takes {ours:.2f} times as long."
    )
    headers = ["", "into memory, s", "flushed to disk, s", "CPU, s"]
    title = "Making"
    return Result(
        Table(f"{title} from a registry", headers, rows, note),
        Bars(title, bench.image.size, {name: seconds[name] for name in names}),
    )


_YARDSTICK = "`dd conv=fsync`"


@contextlib.contextmanager
def _memory() -> Iterator[Path]:
    """Yield an empty folder in memory, which is gone afterwards."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield Path(folder)


def _size(image: Image) -> str:
    layers = len(image.blobs) - 1
    size = f"An image of {image.size / MB:,.0f} MB in {layers} layers."
    return f"{size} docker-charon with `-j {JOBS}`; curl one blob after the other, nothing checked."


def starting(bench: Bench) -> Result:
    """Start programs that have little to do, beside what Python and its libraries take to start."""
    name = put_small_images(bench.source, 1)[0]
    with bench.room() as folder:
        python = [sys.executable, "-c"]
        commands = {
            "`python -c pass`": Command([*python, "pass"]),
            "`import docker_charon`": Command([*python, "import docker_charon"]),
            "`import typer`": Command([*python, "import typer"]),
            "`docker-charon --help`": Command([sys.executable, "-m", "docker_charon", "--help"]),
            "`import requests`": Command([*python, "import requests"]),
            "a payload of a tiny image": make_payload(bench.source, [name], folder / "p.zip"),
        }
        for command in commands.values():
            measure(command)  # Python compiles its modules once
        found = medians(
            max(bench.runs, 7),
            {title: partial(measure, command) for title, command in commands.items()},
        )
    rows = [[title, f"{each.seconds:.3f}", f"{each.cpu:.3f}"] for title, each in found.items()]
    return Result(Table("Starting", ["", "s", "CPU, s"], rows))


def inventory(bench: Bench) -> Result:
    """Write down what a registry has."""
    count = bench.scale.counts[-1]
    with bench.empty_registry() as address, bench.room() as folder:
        put_small_images(address, count)
        file = folder / "inventory.zip"
        command = make_inventory(address, file)
        found = medians(bench.runs, {"inventory": partial(measure, command)})["inventory"]
        size = file.stat().st_size
    row = [str(count), f"{found.seconds:.2f}", f"{found.cpu:.2f}", f"{size / count / 1000:.1f}"]
    headers = ["images", "s", "CPU, s", "kB an image"]
    return Result(Table("An inventory", headers, [row]))


def pushing(bench: Bench) -> Result:
    """Bring an image into an empty registry; each contender starts from what it made itself.

    That is one file, or a folder with one for each blob, which is less work.
    """
    with contextlib.ExitStack() as stack:
        made = {each: stack.enter_context(bench.room()) for each in bench.contenders}
        for contender, folder in made.items():
            measure(contender.make(bench.source, bench.image, folder))

        def once(contender: Contender) -> Measurement:
            with bench.empty_registry() as address:
                measured = measure(contender.push(address, bench.image, made[contender]))
                if not images.read_manifest(address, bench.image.repository, bench.image.tag):
                    raise RuntimeError(f"{contender.name} has not pushed the image")
                return measured

        found = medians(bench.runs, {each.name: partial(once, each) for each in made})
    rows = [
        [
            name,
            f"{each.seconds:.2f}",
            f"{bench.image.size / MB / each.seconds:.0f}",
            f"{each.cpu:.2f}",
        ]
        for name, each in found.items()
    ]
    headers = ["", "s", "MB/s", "CPU, s"]
    note = f"{_size(bench.image)} Most of the time is the work of the registry."
    title = "Pushing"
    seconds = {name: each.seconds for name, each in found.items()}
    return Result(
        Table(f"{title} into an empty registry", headers, rows, note),
        Bars(title, bench.image.size, seconds),
    )


def far(bench: Bench) -> Result:
    """Make and push where each answer takes its time and each connection carries little."""
    scale = bench.scale
    image = bench.put("far", scale.far_layers, scale.far_layer)
    with bench.room() as folder:
        payload = folder / "payload.zip"

        def make(jobs: int) -> Measurement:
            with bench.far_away(bench.source) as address:
                return measure(make_payload(address, [image.name], payload, jobs=jobs))

        def push(jobs: int) -> Measurement:
            with bench.empty_registry() as registry, bench.far_away(registry) as address:
                return measure(push_payload(address, payload, jobs=jobs))

        flows = {"making": make, "pushing": push}
        numbers = (1, 2, 4, 8)
        found = medians(
            bench.runs,
            {(name, jobs): partial(run, jobs) for jobs in numbers for name, run in flows.items()},
        )
    rows = []
    for jobs in numbers:
        row = [str(jobs)]
        for name in flows:
            seconds = found[name, jobs].seconds
            row += [f"{seconds:.2f}", f"{found[name, 1].seconds / seconds:.2f}"]
        rows.append(row)
    title = "A registry far away"
    note = (
        f"{scale.far_delay * 1000:.0f} ms an answer, {scale.far_rate / MB:g} MB/s a connection; "
        f"{scale.far_layers} layers of {scale.far_layer / MB:g} MB."
    )
    headers = ["jobs", "making, s", "times as fast", "pushing, s", "times as fast"]
    lines = {name: [(jobs, found[name, jobs].seconds) for jobs in numbers] for name in flows}
    return Result(Table(title, headers, rows, note), Lines(title, "jobs", lines))


def many(bench: Bench) -> Result:
    """Make and push growing numbers of images that share most of their layers."""
    counts = bench.scale.counts
    print(f"making {counts[-1]} images", file=sys.stderr, flush=True)
    names = put_small_images(bench.source, counts[-1])
    with bench.room() as folder:

        def make(count: int) -> Measurement:
            return measure(make_payload(bench.source, names[:count], folder / f"{count}.zip"))

        def push(count: int) -> Measurement:
            with bench.empty_registry() as address:
                return measure(push_payload(address, folder / f"{count}.zip"))

        flows = {"making": make, "pushing": push}
        found = medians(
            bench.runs,
            {(name, count): partial(run, count) for count in counts for name, run in flows.items()},
        )
    rows = []
    for count in counts:
        row = [str(count)]
        for name in flows:
            each = found[name, count]
            per_image = f"{each.seconds / count * 1000:.1f}"
            cpu = f"{each.cpu / count * 1000:.1f}"
            row += [f"{each.seconds:.2f}", per_image, cpu, f"{each.peak / MB:.0f}"]
        rows.append(row)
    first, last = counts[0], counts[-1]
    growth = {
        name: (
            f"{name} {found[name, last].seconds / found[name, first].seconds:.2f} times the time "
            f"and {(found[name, last].peak - found[name, first].peak) / 1000 / (last - first):.1f} "
            "KB more memory an image"
        )
        for name in flows
    }
    note = (
        f"Six layers each, five of them shared by all. {last / first:g} times as many images: "
        f"{'; '.join(growth.values())}."
    )
    columns = ("s", "ms an image", "CPU ms an image", "peak memory, MB")
    headers = ["images", *(f"{name}, {column}" for name in flows for column in columns)]
    title = "Many images"
    lines = {name: [(count, found[name, count].seconds) for count in counts] for name in flows}
    return Result(Table(title, headers, rows, note), Lines(title, "images", lines))


def memory(bench: Bench) -> Result:
    """Make and push one large layer: what stays in memory, and how often a byte is written."""
    image = bench.put("large", 1, bench.scale.large_layer)
    with bench.room() as folder:
        payload = folder / "payload.zip"

        def make() -> Measurement:
            payload.unlink(missing_ok=True)
            return measure(make_payload(bench.source, [image.name], payload))

        def push(*, from_stdin: bool) -> Measurement:
            with bench.empty_registry() as address:
                return measure(push_payload(address, payload, from_stdin=from_stdin))

        found = medians(
            bench.runs,
            {
                "making": make,
                "pushing from a file": partial(push, from_stdin=False),
                "pushing from standard input": partial(push, from_stdin=True),
            },
        )
        size = payload.stat().st_size
    rows = [
        [name, f"{each.peak / MB:.0f}", f"{each.written / size:.3f}"]
        for name, each in found.items()
    ]
    title = "Memory, and bytes written to disk"
    headers = ["", "peak memory, MB", "written, payload = 1"]
    note = f"One layer of {bench.scale.large_layer / MB:g} MB, `-j {JOBS}`."
    return Result(Table(title, headers, rows, note))


SECTIONS = {
    "making": making,
    "pushing": pushing,
    "starting": starting,
    "far": far,
    "many": many,
    "inventory": inventory,
    "memory": memory,
}
