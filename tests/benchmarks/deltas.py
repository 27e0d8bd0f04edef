"""Measure the differences inside layers, on updates of real packages; print tables in Markdown.

    python tests/benchmarks/deltas.py --cache ~/charon-updates > deltas.md
    python tests/benchmarks/deltas.py --only rebuilt bumped --picture images/update-sizes.svg

It downloads 200 MB of packages with pip and apt once, and needs skopeo, which compresses layers as
podman and buildah do. Where ``go`` is installed, two Go programs are measured too. A full run takes
some twenty minutes, and 3 GB below the folder for the cache.
"""

from __future__ import annotations

import argparse
import gzip
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

sys.path.remove(str(Path(__file__).resolve().parent))  # it has `deltas` too, which is this module
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

# The tests' own modules are found only now.
from benchmarks import machine, update_picture
from benchmarks.delta_step import Running
from benchmarks.table import Table
from benchmarks.updates import Missing, Update, Updates
from deltas.layers import COMPRESSORS
from docker_charon.deltas.sectors import SECTOR

USUAL = "skopeo"
COMPRESSED_BY = ("go", "zlib-best", "gzip-rsyncable", "pigz", "libdeflate", "estargz")
"""What else compresses one of the updates."""

LARGE = 2_000_000_000
_LARGE_PART = 4 * 1024 * 1024


def main() -> int:
    """Measure; print what was found."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="docker-charon-deltas-") as folder:
        _measure(options, Bench(options.cache, Path(folder)))
    return 0


def _measure(options: argparse.Namespace, bench: Bench) -> None:
    print(f"{machine.describe()}, {machine.version_of('skopeo', '--version')}.\n")
    chosen = [update for name in options.only if (update := bench.update(name))]
    if "sizes" in options.parts:
        print(bench.sizes(chosen).markdown(), flush=True)
    if "compressors" in options.parts:
        print(bench.compressors(chosen[0]).markdown(), flush=True)
    if "speed" in options.parts:
        print(bench.speed(chosen[0]).markdown(), flush=True)
    if "large" in options.parts:
        print(bench.large().markdown(), flush=True)
    if options.picture:
        update_picture.draw(options.picture, bench.picture())


class Bench:
    """Measures in a folder; the layers of the updates are kept in another one, the cache."""

    def __init__(self, cache: Path, folder: Path) -> None:
        self._folder = folder
        self._updates = Updates(cache)
        self._layers = cache / "layers"
        self._layers.mkdir(parents=True, exist_ok=True)
        self._known: dict[tuple[Path, Path], tuple[int, str, str, str]] = {}

    def update(self, name: str) -> Update | None:
        """Return an update, or nothing if what it is made of is not installed."""
        try:
            return self._updates.all()[name]()
        except Missing as error:
            print(f"{name}: {error}", file=sys.stderr)
            return None

    def sizes(self, updates: Sequence[Update]) -> Table:
        """Make and apply the delta of each update."""
        rows = []
        for update in updates:
            old, new = self._pair(update, USUAL)
            rows.append([update.name, *self._row(old, new), f"{100 * update.most:.1f} %"])
        headers = ["update", *_HEADERS, "at most"]
        return Table("What an update weighs", headers, rows, _NOTE)

    def compressors(self, update: Update) -> Table:
        """Make and apply the delta of one update, compressed in several ways."""
        rows = []
        for tool in COMPRESSED_BY:
            print(f"  {tool}", file=sys.stderr, flush=True)
            rows.append([tool, *self._row(*self._pair(update, tool))])
        return Table(f"{update.name}, by compressor", ["compressor", *_HEADERS], rows, _NOTE)

    def speed(self, update: Update) -> Table:
        """Take a layer apart and put it together; make two deltas one after another and at once."""
        old, new = self._pair(update, USUAL)
        size = new.stat().st_size / 1e6
        rows = []
        for step, what in (("split", "taking a layer apart"), ("join", "putting it together")):
            took = Running(step, new).took()
            rows.append([what, f"{size / took.cpu:.1f} MB/s", f"{size / took.wall:.1f} MB/s"])
        targets = [self._folder / f"delta-{n}" for n in range(2)]
        alone = [Running("make", new, old, target).took() for target in targets]
        running = [Running("make", new, old, target) for target in targets]
        together = [step.took() for step in running]
        gain = sum(took.wall for took in alone) / max(took.wall for took in together)
        cpu = sum(took.cpu for took in alone) / max(took.cpu for took in together)
        rows.append(
            ["two deltas at once, compared to one", f"{cpu:.2f} times", f"{gain:.2f} times"]
        )
        headers = ["", "by processor time", "by the clock"]
        return Table(f"Speed, {size:.0f} MB of gzip", headers, rows)

    def large(self) -> Table:
        """Make and apply the delta of a layer of 2 GB, which takes no more memory than others."""
        old, new = (self._layers / f"large-{version}.gz" for version in ("old", "new"))
        for layer, changed in ((old, 0), (new, 1)):
            if not layer.exists():
                part = layer.with_suffix(".part")
                with gzip.open(part, "wb", 1) as file:
                    for content in _large_content(changed):
                        file.write(content)
                part.rename(layer)
        rows = [["2 GB unpacked, one sector of 1,000 changed", *self._row(old, new)]]
        return Table("A large layer", ["update", *_HEADERS], rows, _NOTE)

    def picture(self) -> update_picture.Figures:
        """Return the bytes of an update of an image: by image, by layer, and inside layers."""
        updates = self._updates
        base, packages, sources = (
            self._pair(update, USUAL)
            for update in (updates.debian(), updates.bumped(), updates.sources())
        )
        changed = [packages, sources]
        deltas = [self._delta(*pair)[0] for pair in changed]
        layers = sum(new.stat().st_size for _, new in changed)
        return update_picture.Figures(layers + base[0].stat().st_size, layers, sum(deltas))

    def _pair(self, update: Update, tool: str) -> tuple[Path, Path]:
        """Return the old and the new layer, compressed by a tool."""
        old, new = (self._layers / f"{tar.stem}.{tool}.gz" for tar in (update.old, update.new))
        for tar, layer in ((update.old, old), (update.new, new)):
            if not layer.exists():
                part = layer.with_suffix(".part")
                part.write_bytes(COMPRESSORS[tool](tar.read_bytes()))
                part.rename(layer)
        return old, new

    def _delta(self, old: Path, new: Path) -> tuple[int, str, str, str]:
        """Make and apply a delta; return its bytes, both seconds, and the most memory."""
        if (old, new) in self._known:
            return self._known[old, new]
        delta, target = self._folder / "delta", self._folder / "target"
        made = Running("make", new, old, delta).took()
        applied = Running("apply", delta, old, target).took()
        if target.read_bytes() != new.read_bytes():
            raise RuntimeError(f"{new} did not come back")
        size = delta.stat().st_size
        delta.unlink()
        target.unlink()
        peak = max(made.peak, applied.peak)
        seconds = f"{made.cpu:.1f} s", f"{applied.cpu:.1f} s"
        self._known[old, new] = size, *seconds, f"{peak / 1e6:.0f} MB"
        return self._known[old, new]

    def _row(self, old: Path, new: Path) -> list[str]:
        print(f"  {new.name}", file=sys.stderr, flush=True)
        size, *took = self._delta(old, new)
        whole = new.stat().st_size
        return [f"{whole:,}", f"{size:,}", f"{100 * size / whole:.1f} %", *took]


_HEADERS = ("new layer", "delta", "share", "made", "rebuilt", "memory")
_NOTE = "Bytes; seconds of one core; the larger peak memory of both. Every layer came back exactly."


def _large_content(changed: int) -> Iterator[bytes]:
    """Yield a tar whose sectors all differ, though they compress well: it is for the memory."""
    yield tarfile.TarInfo("large").tobuf()
    text = np.frombuffer(Path(__file__).read_bytes()[:SECTOR], np.uint8)
    sectors = np.tile(text, (_LARGE_PART // SECTOR, 1))
    for start in range(0, LARGE // SECTOR, len(sectors)):
        numbers = np.arange(start, start + len(sectors), dtype=np.uint64)
        numbers += (numbers % 1000 == 999) * np.uint64(changed << 40)
        sectors[:, :8] = (numbers * np.uint64(0x9E3779B97F4A7C15)).view(np.uint8).reshape(-1, 8)
        yield sectors.tobytes()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = ("bumped", "rebuilt", "sources", "debian", "program", "library")
    parts = ("sizes", "compressors", "speed", "large")
    cache = Path(tempfile.gettempdir()) / "docker-charon-updates"
    parser.add_argument("--only", nargs="+", choices=names, default=list(names))
    parser.add_argument("--parts", nargs="*", choices=parts, default=list(parts))
    parser.add_argument("--cache", type=Path, default=cache, metavar="FOLDER")
    parser.add_argument("--picture", type=Path, metavar="PATH", help="draw an SVG")
    options = parser.parse_args()
    if shutil.which("skopeo") is None:
        parser.error("skopeo is missing: apt-get install skopeo")
    return options


if __name__ == "__main__":
    sys.exit(main())
