"""The rows of the table: every way in which an exchange goes wrong."""

from __future__ import annotations

import enum
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from faults.operations import Operation
from images import digest_of
from proxy import (
    HTML,
    Action,
    Answer,
    Close,
    Cut,
    Drip,
    DropAnswer,
    DropHeader,
    End,
    FlipBit,
    IgnoreRange,
    Interim,
    Pieces,
    Reset,
    ResetUpload,
    Rule,
    SetHeader,
    Stall,
    Truncate,
)

HOW_OFTEN = {"once": 1, "twice": 2, "always": None}
OTHER_DIGEST = digest_of(b"something else")
SLOW = Drip(20, 0.02)
"""An answer at 1,000 bytes a second."""


@dataclass(frozen=True)
class FlipSentBit(Action):
    """Flip one bit of the byte at that offset of the request's body."""

    at: int

    def upload(self, pieces: Pieces) -> Pieces:
        return FlipBit(self.at).download(pieces)


class SendSignal(Action):
    """Send a signal to the ``process`` whose request this is, and never answer."""

    def __init__(self, number: signal.Signals) -> None:
        self.number = number
        self.process: subprocess.Popen[str] | None = None

    def instead(self) -> Answer | None:
        assert self.process is not None
        self.process.send_signal(self.number)
        raise Cut(End.STALL)


class Way(enum.Enum):
    """How the requests come to the registry."""

    DIRECT = enum.auto()
    FORWARDED = enum.auto()
    """In plain HTTP, by a proxy."""
    TUNNEL = enum.auto()
    """Over TLS, in a tunnel of a proxy (``CONNECT``)."""
    PROCESS = enum.auto()
    """From a process, the command line, with a standard error that nobody reads."""


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong; ``action`` is ``None`` where it cannot.

    ``after_cut``: it is a matter of the second request, when the first one broke in its middle.
    """

    name: str
    times: int | None
    action: Callable[[Operation], Action | None]
    after_cut: bool = False
    way: Way = Way.DIRECT

    def rules(self, operation: Operation) -> list[Rule] | None:
        """Return what the proxy does in this cell; ``None`` if there is no such cell."""
        action = self.action(operation)
        if action is None:
            return None
        rules = [*operation.first]
        if self.after_cut:
            cut = Close(after=operation.received // 2)
            rules.append(Rule(operation.method, operation.path, cut, skip=operation.skip))
        place = operation.method, operation.path
        return [*rules, Rule(*place, action, self.times, operation.skip)]


def _has_answer(operation: Operation) -> bool:
    """Whether the answer has a body that matters."""
    return operation.received > 2


def _is_blob(operation: Operation) -> bool:
    return _has_answer(operation) and "blob" in operation.name


def _in_the_middle(operation: Operation) -> Action | None:
    if operation.sent:
        return ResetUpload(after=operation.sent // 2)
    return Reset(after=operation.received // 2) if _has_answer(operation) else None


def _after(operation: Operation) -> Action:
    return Reset(after=operation.received) if operation.received else DropAnswer()


def _flip(operation: Operation) -> Action | None:
    if operation.sent:
        return FlipSentBit(at=operation.sent // 2)
    return FlipBit(at=operation.received // 2) if _has_answer(operation) else None


def _of_answers(
    action: Callable[[int], Action], *, only_blobs: bool = False
) -> Callable[[Operation], Action | None]:
    """Return what is done to an answer with a body, given the offset of its middle."""
    applies = _is_blob if only_blobs else _has_answer
    return lambda operation: action(operation.received // 2) if applies(operation) else None


def _of_all(action: Action) -> Callable[[Operation], Action]:
    return lambda _: action


def _of_digests(action: Action) -> Callable[[Operation], Action | None]:
    return lambda operation: action if operation.has_digest else None


def _of_method(method: str, action: Action) -> Callable[[Operation], Action | None]:
    return lambda operation: action if operation.method == method else None


def _faults() -> Iterator[Fault]:
    """Yield all of them; how often each one happens is what makes a difference."""
    kinds: list[tuple[str, Callable[[Operation], Action | None], str]] = [
        ("reset before the answer", _of_all(Reset()), "once twice always"),
        ("reset in the middle", _in_the_middle, "once twice always"),
        ("reset after the end", _after, "once always"),
        ("closed before the answer", _of_all(Close()), "once always"),
        ("closed in the middle", _of_answers(lambda middle: Close(after=middle)), "once always"),
        ("truncated", _of_answers(Truncate), "once always"),
        ("a bit flipped", _flip, "once always"),
        ("stalled before the answer", _of_all(Stall()), "once always"),
        ("stalled in the middle", _of_answers(lambda middle: Stall(after=middle)), "once always"),
    ]
    for status in (408, 429, 500, 502, 503, 504):
        headers = {"Retry-After": "1"} if status in (429, 503) else {}
        kinds.append((f"{status}", _of_all(Answer(status, headers)), "once twice always"))
    for name, action, how_often in kinds:
        for times in how_often.split():
            yield Fault(f"{name}, {times}", HOW_OFTEN[times], action)
    yield Fault("429 with Retry-After: 0", 2, _of_all(Answer(429, {"Retry-After": "0"})))
    for name, part in (
        ("Range ignored", IgnoreRange()),
        ("Content-Range of another part", SetHeader("Content-Range", "bytes 0-9/10")),
        ("Content-Range of nonsense", SetHeader("Content-Range", "all of it")),
        ("Content-Range dropped", DropHeader("Content-Range")),
    ):
        apply = _of_answers(lambda _, part=part: part, only_blobs=True)  # type: ignore[misc]
        yield Fault(name, None, apply, after_cut=True)
    yield Fault("Content-Length too small", None, _of_all(SetHeader("Content-Length", "1")))
    yield Fault("Content-Length too large", None, _of_all(SetHeader("Content-Length", "99999")))
    yield Fault("Content-Length of nonsense", None, _of_all(SetHeader("Content-Length", "many")))
    lie = SetHeader("Docker-Content-Digest", OTHER_DIGEST)
    yield Fault("another Docker-Content-Digest", None, _of_digests(lie))
    nonsense = SetHeader("Docker-Content-Digest", "sha256:nonsense")
    yield Fault("Docker-Content-Digest of nonsense", None, _of_digests(nonsense))
    for header in ("Content-Length", "Content-Type"):
        yield Fault(f"{header} dropped", None, _of_all(DropHeader(header)))
    digest = DropHeader("Docker-Content-Digest")
    yield Fault("Docker-Content-Digest dropped", None, _of_digests(digest))
    yield Fault("Location dropped", None, _of_method("POST", DropHeader("Location")))
    yield Fault("HEAD refused (405)", None, _of_method("HEAD", Answer(405)))
    yield Fault("HTML with 200, once", 1, _of_all(HTML))
    yield Fault("HTML with 200, always", None, _of_all(HTML))
    yield Fault("interim answers first, always", None, _of_all(Interim(3)))
    yield Fault("interim answers without end, always", None, _of_all(Interim(1000)))
    yield from _slow_faults()
    yield from _proxy_faults()
    yield from _process_faults()


def _slow_faults() -> Iterator[Fault]:
    """Yield answers of which a little comes from time to time."""
    drip = _of_answers(lambda _: SLOW)
    yield Fault("slow drips, once", 1, drip)
    yield Fault("slow drips, always", None, drip)


def _proxy_faults() -> Iterator[Fault]:
    """Yield proxies that cut connections."""
    for way, name in ((Way.FORWARDED, "an HTTP proxy"), (Way.TUNNEL, "a tunnel")):
        for times in ("once", "always"):
            often = HOW_OFTEN[times]
            before, middle = f"cut by {name}, {times}", f"cut by {name} in the middle, {times}"
            yield Fault(before, often, _of_all(Close()), way=way)
            yield Fault(middle, often, _in_the_middle, way=way)


def _process_faults() -> Iterator[Fault]:
    """Yield what happens to the process itself."""
    for number in (signal.SIGTERM, signal.SIGHUP):

        def send(_: Operation, number: signal.Signals = number) -> Action:
            return SendSignal(number)

        yield Fault(number.name, 1, send, way=Way.PROCESS)
    yield Fault("503, once, with a dead standard error", 1, _of_all(Answer(503)), way=Way.PROCESS)


FAULTS = tuple(_faults())
