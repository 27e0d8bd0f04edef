"""The two ways over the air gap, drawn alike: what each step reads from a disk and writes to one.

What is counted is each carried layer, from one registry to the other, with a USB disk that is
written and read directly. The registries' own disks are left out: they work as much either way.

Docker with its store ``overlay2`` (see ``distribution/pull_v2.go``, ``image/tarexport/save.go`` and
``load.go``, ``distribution/push_v2.go`` in moby):

====  ==========================================================  ====  =======
      what is done                                                read  written
====  ==========================================================  ====  =======
pull  the compressed layer goes to a temporary file                        1
pull  that is unpacked into the store                              1       1
save  the layer's files are packed into a temporary tar            1       1
save  the layers' tars are copied into the one tar                 1       1
load  the layers' tars are copied into a temporary folder          1       1
load  the layer's tar there is unpacked into the store             1       1
push  the layer's files are packed, compressed and uploaded        1
====  ==========================================================  ====  =======

With containerd's store, the default of new installations since Docker 29
(https://docs.docker.com/engine/storage/containerd/), the compressed layers are kept beside the
unpacked ones. Pull and load write both, save and push copy the compressed ones: 5 times written, 5
times read, 2 times unpacked, never compressed again.

docker-charon writes what comes from the registry straight into the payload, and reads it from there
as it uploads it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from canvas import Canvas, Point

WIDTH, MIDDLE, MARGIN, TOP, BOTTOM = 850, 425, 20, 60, 446
GAP = 62
"""From the middle to either side's area."""

LABEL = 54
"""From the middle of an icon to the line of what is written below it."""

TITLE, COMMAND, TEXT, SMALL = 22, 18, 17, 15.5
"""Sizes of letters. The README shows two pictures side by side, each at about half its width."""

PAPER, EDGE, HERE, THERE = "#ffffff", "#d0d7de", "#e8f4f6", "#fbf2e6"
INK, SOFT, LINE = "#1b2a32", "#52646e", "#8a9ba5"
TIMES = "\N{MULTIPLICATION SIGN}"
READ, WRITTEN = "#0b7285", "#e8590c"


@dataclass(frozen=True)
class Work:
    """A part of a step, and whether it reads from a disk and writes to one."""

    what: str
    marks: str
    """``R``, ``W`` or ``RW``."""


@dataclass(frozen=True)
class Step:
    """A command, and what it does with every layer."""

    command: str
    works: Sequence[Work]


@dataclass(frozen=True)
class Method:
    """A way over the gap."""

    title: str
    here: Sequence[Step]
    """From the registry to the disk; where there are two, an engine stands between them."""
    there: Sequence[Step]
    carried: Sequence[str]
    """Lines below the disk."""
    unpacked: int
    recompressed: int
    remark: str

    def totals(self) -> list[tuple[int, str]]:
        """Return how often each carried layer is written, read, unpacked and recompressed."""
        marks = "".join(work.marks for step in (*self.here, *self.there) for work in step.works)
        return [
            (marks.count("W"), "written"),
            (marks.count("R"), "read"),
            (self.unpacked, "unpacked"),
            (self.recompressed, "recompressed"),
        ]


SAVE_LOAD = Method(
    title="With docker save and docker load",
    here=[
        Step("docker pull", [Work("download", "W"), Work("unpack", "RW")]),
        Step("docker save", [Work("pack layers again", "RW"), Work("copy into one tar", "RW")]),
    ],
    there=[
        Step("docker load", [Work("copy out of the tar", "RW"), Work("unpack each layer", "RW")]),
        Step("docker push", [Work("compress and upload", "R")]),
    ],
    carried=["all layers,", "uncompressed"],
    unpacked=2,
    recompressed=1,
    remark=(
        f"Docker with its overlay2 store; with containerd's: written 5{TIMES}, read 5{TIMES}, "
        "not recompressed."
    ),
)
CHARON = Method(
    title="With docker-charon",
    here=[Step("make-payload", [Work("fetch what is missing", "W")])],
    there=[Step("push-payload", [Work("upload", "R")])],
    carried=["only what is", "missing there"],
    unpacked=0,
    recompressed=0,
    remark="No Docker on either side: layers travel as the registry has them, compressed.",
)


def draw(method: Method, path: Path) -> None:
    """Draw a method into a PNG file."""
    canvas = Canvas(WIDTH, BOTTOM + 124)
    canvas.box((0, 0), (WIDTH, BOTTOM + 124), PAPER, radius=14, outline=EDGE, stroke=1.5)
    canvas.text((MARGIN + 4, 40), method.title, TITLE, INK, face="DejaVuSans-Bold")
    _legend(canvas, 40)
    _areas(canvas, TOP, BOTTOM)
    if len(method.here) > 1:
        _through_engines(canvas, method)
    else:
        _directly(canvas, method)
    _totals(canvas, method, BOTTOM)
    canvas.save_png(path)


def _legend(canvas: Canvas, y: float) -> None:
    x: float = WIDTH - MARGIN - 4
    for mark, word in (("W", "written to disk"), ("R", "read from disk")):
        x -= canvas.width(word, SMALL)
        canvas.text((x, y - 1), word, SMALL, SOFT)
        _mark(canvas, (x - 28, y - 18), mark)
        x -= 28 + 16


def _mark(canvas: Canvas, at: Point, mark: str) -> None:
    x, y = at
    canvas.box((x, y), (x + 22, y + 22), READ if mark == "R" else WRITTEN, radius=4)
    canvas.text((x + 11, y + 11.5), mark, SMALL, PAPER, face="DejaVuSans-Bold", anchor="mm")


def _areas(canvas: Canvas, top: float, bottom: float) -> None:
    canvas.box((MARGIN, top), (MIDDLE - GAP, bottom), HERE, radius=10)
    canvas.box((MIDDLE + GAP, top), (WIDTH - MARGIN, bottom), THERE, radius=10)
    canvas.text((MARGIN + 16, top + 25), "connected side", SMALL, SOFT)
    canvas.text((WIDTH - MARGIN - 16, top + 25), "air-gapped side", SMALL, SOFT, anchor="rs")
    canvas.text((MIDDLE, top + 25), "air gap", SMALL, SOFT, face="DejaVuSans-Bold", anchor="ms")


def _through_engines(canvas: Canvas, method: Method) -> None:
    upper, lower, column = 148, 316, 74
    left, right = column, WIDTH - column
    for x in (left, right):
        _registry(canvas, (x, upper))
        _engine(canvas, (x, lower))
    canvas.arrow((left, upper + 62), (left, lower - 40), INK)
    canvas.arrow((left + 44, lower), (MIDDLE - 30, lower), INK)
    canvas.arrow((MIDDLE + 30, lower), (right - 44, lower), INK)
    canvas.arrow((right, lower - 40), (right, upper + 62), INK)
    _disk(canvas, lower, method.carried, TOP, BOTTOM)
    pull, save = method.here
    load, push = method.there
    inner, start = MIDDLE - GAP - 14, 126
    _step(canvas, start, inner, 216, pull)
    _step(canvas, start, inner, lower + LABEL, save)
    _step(canvas, WIDTH - inner, WIDTH - start, lower + LABEL, load)
    _step(canvas, WIDTH - inner, WIDTH - start, 216, push)


def _directly(canvas: Canvas, method: Method) -> None:
    row, column = 234, 74
    left, right = column, WIDTH - column
    for x in (left, right):
        _registry(canvas, (x, row))
    canvas.arrow((left + 44, row), (MIDDLE - 30, row), INK)
    canvas.arrow((MIDDLE + 30, row), (right - 44, row), INK)
    _disk(canvas, row, method.carried, TOP, BOTTOM)
    inner, start = MIDDLE - GAP - 14, 126
    _step(canvas, start, inner, row + LABEL, method.here[0])
    _step(canvas, WIDTH - inner, WIDTH - start, row + LABEL, method.there[0])


def _step(canvas: Canvas, left: float, right: float, y: float, step: Step) -> None:
    canvas.text((left, y), step.command, COMMAND, INK, face="DejaVuSansMono-Bold")
    for n, work in enumerate(step.works):
        line = y + 29 * (n + 1)
        canvas.text((left, line), work.what, TEXT, INK)
        for k, mark in enumerate(reversed(work.marks)):
            _mark(canvas, (right - 22 - 26 * k, line - 17), mark)


def _registry(canvas: Canvas, centre: Point) -> None:
    x, y = centre
    wide, flat, high = 30, 0.3, 16
    for level in (1, 0, -1):
        foot, head = y + level * 20 + high / 2, y + level * 20 - high / 2
        canvas.disc((x, foot), wide, "#0b7285", flat=flat)
        canvas.box((x - wide, head), (x + wide, foot), "#0b7285")
        canvas.disc((x, head), wide, "#3bc9db" if level == -1 else "#99dbe5", flat=flat)
    canvas.text((x, y + LABEL), "registry", TEXT, INK, anchor="ms")


def _engine(canvas: Canvas, centre: Point) -> None:
    x, y = centre
    canvas.box((x - 32, y - 32), (x + 32, y + 32), "#dde5ea", radius=8, outline=LINE, stroke=2)
    a, b = 20, 11.5
    top = [(x, y - 22), (x + a, y - 22 + b), (x, y - 22 + 2 * b), (x - a, y - 22 + b)]
    canvas.shape(top, "#b6c4cc")
    canvas.shape([top[3], top[2], (x, y + 24), (x - a, y + 24 - b)], "#8a9ba5")
    canvas.shape([top[2], top[1], (x + a, y + 24 - b), (x, y + 24)], "#6b7f8a")
    for n, word in enumerate(("Docker", "engine")):
        canvas.text((x, y + LABEL + 20 * n), word, TEXT, INK, anchor="ms")


def _disk(canvas: Canvas, y: float, carried: Sequence[str], top: float, bottom: float) -> None:
    x = MIDDLE
    canvas.dashes((x, top + 36), (x, y - 48), SOFT, 3, 7)
    canvas.dashes((x, y + LABEL + 13 + 20 * (len(carried) - 1)), (x, bottom - 2), SOFT, 3, 7)
    canvas.box((x - 12, y - 38), (x + 12, y - 14), "#b6c4cc", radius=2)
    for side in (-1, 1):
        canvas.box((x + side * 5.5 - 2.5, y - 31), (x + side * 5.5 + 2.5, y - 25), PAPER)
    canvas.box((x - 20, y - 18), (x + 20, y + 36), INK, radius=6)
    canvas.box((x - 12, y + 2), (x + 12, y + 26), "#f2c57c", radius=2)
    for n, words in enumerate(carried):
        canvas.text((x, y + LABEL + 20 * n), words, SMALL, INK, anchor="ms")


def _totals(canvas: Canvas, method: Method, top: float) -> None:
    canvas.text((MARGIN + 4, top + 38), "Between registries,", SMALL, INK)
    canvas.text((MARGIN + 4, top + 60), "each layer carried is", SMALL, INK)
    x: float = 212
    for count, word in method.totals():
        colour = WRITTEN if word == "written" else READ if word == "read" else INK
        x += canvas.text((x, top + 60), f"{count}{TIMES}", 32, colour, face="DejaVuSans-Bold") + 6
        x += canvas.text((x, top + 60), word, SMALL, INK) + 26
    canvas.text((MARGIN + 4, top + 102), method.remark, SMALL, SOFT)
