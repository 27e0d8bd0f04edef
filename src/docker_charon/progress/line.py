"""The text of a progress line: as wide as a terminal, with a bar, or plain."""

from __future__ import annotations

from docker_charon.progress.event import ProgressEvent
from docker_charon.progress.quantity import shown_part, shown_size
from docker_charon.value import dataclass

_MARGIN = 3
"""Columns that stay free on the right, where a terminal writes ``^C``."""
_SHORTEST_BAR = 10
_LONGEST_BAR = 50
BLOCKS = "▏▎▍▌▋▊▉█"
"""Parts of a column, from an eighth to all of it."""


@dataclass(frozen=True, slots=True)
class Status:
    """The facts that a line shows; sizes are in bytes.

    ``resumed`` is the number of bytes that an earlier run had transferred. ``rebuilt`` is a number
    of layers. ``speed`` is in bytes a second, and ``None`` at first. ``seconds`` is the time since
    the phase began. ``note`` says what is done if nothing can be counted.
    """

    event: ProgressEvent
    resumed: int = 0
    rebuilt: int = 0
    speed: float | None = None
    seconds: float = 0.0
    note: str = ""

    @property
    def phase(self) -> str:
        """The name of the phase for people."""
        return self.event.phase.capitalize()

    @property
    def fraction(self) -> float | None:
        """How much is done, from 0 to 1; ``None`` if nothing can be counted."""
        event = self.event
        done, total = event.bytes_done, event.bytes_total
        if not total:
            done, total = event.images_done, event.images_total
        return min(1.0, max(0.0, done / total)) if total else None

    @property
    def amount(self) -> str:
        """How much of all is done, as text with a unit."""
        event = self.event
        if event.bytes_total:
            return shown_part(event.bytes_done, event.bytes_total)
        return f"{event.images_done:,} of {event.images_total:,} images"

    @property
    def count(self) -> str:
        """How many blobs are done, or images once all blobs are; empty if `amount` says it."""
        event = self.event
        if event.blobs_total and (event.blobs_done < event.blobs_total or not event.images_total):
            return f"{event.blobs_done}/{event.blobs_total} blobs"
        is_new = bool(event.bytes_total and event.images_total)
        return f"{event.images_done}/{event.images_total} images" if is_new else ""

    @property
    def seconds_left(self) -> float | None:
        """How long the rest takes at this speed; ``None`` if that is not known."""
        missing = max(0, self.event.bytes_total - self.event.bytes_done)
        return missing / self.speed if self.speed and self.event.bytes_total else None


def plain_line(status: Status) -> str:
    """Return a line for a log: what is done, how fast, and how long the rest takes."""
    if status.fraction is None:
        return f"{status.phase} {status.note}: {status.seconds:.0f} s"
    left = status.seconds_left
    facts = [
        status.amount,
        status.count,
        f"{shown_size(status.resumed)} resumed" if status.resumed else "",
        f"{status.rebuilt} rebuilt" if status.rebuilt else "",
        f"{shown_size(status.speed)}/s" if status.speed else "",
        f"{left:.0f} s left" if left is not None else "",
    ]
    return f"{status.phase}: {', '.join(fact for fact in facts if fact)}"


def bar_line(status: Status, columns: int, blocks: str = BLOCKS) -> str:
    """Return a line with a bar for a terminal that is ``columns`` wide.

    ``blocks`` are the characters for parts of a column; the last one fills it. Facts that do not
    fit are left out, the least important ones first, and so is the bar in a narrow terminal.
    """
    width = max(1, columns - _MARGIN)
    if status.fraction is None:
        return f"{status.phase} {status.note}  {status.seconds:.0f} s"[:width]
    head = f"{status.phase} {int(100 * status.fraction):3d}%"
    left = status.seconds_left
    facts = {  # the most important first
        "amount": f"  {status.amount}",
        "left": f", {_shown_time(left)} left" if left is not None else "",
        "bar": " " * (_SHORTEST_BAR + 3),
        "count": f", {status.count}" if status.count else "",
        "speed": f", {shown_size(status.speed)}/s" if status.speed else "",
        "resumed": f", {shown_size(status.resumed)} resumed" if status.resumed else "",
        "rebuilt": f", {status.rebuilt} rebuilt" if status.rebuilt else "",
    }
    room = width - len(head)
    shown = dict.fromkeys(facts, "")
    for name, text in facts.items():
        if len(text) <= room:
            shown[name] = text
            room -= len(text)
    if shown["bar"]:
        length = min(_SHORTEST_BAR + room, _LONGEST_BAR)
        shown["bar"] = f" |{_bar(status.fraction, length, blocks)}|"
    order = ("bar", "amount", "speed", "left", "count", "resumed", "rebuilt")
    return (head + "".join(shown[name] for name in order))[:width]


def _bar(fraction: float, length: int, blocks: str) -> str:
    whole, part = divmod(int(fraction * length * len(blocks)), len(blocks))
    return (blocks[-1] * whole + (blocks[part - 1] if part else "")).ljust(length)


def _shown_time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes:02}:{rest:02}"
