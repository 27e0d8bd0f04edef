"""Progress: a bar in a terminal, lines otherwise, and nothing on standard output."""

from __future__ import annotations

import io
import re
import threading
from pathlib import Path

import pytest

import images
import screen
from command_line import charon
from docker_charon import (
    ProgressEvent,
    make_inventory,
    make_payload,
    push_payload_to_registry,
    verify_payload,
)
from docker_charon.oci.descriptor import Descriptor
from docker_charon.oci.digest import Digest
from docker_charon.progress import Progress, progress
from images import image, layer
from proxy import Answer, Proxy, Rule

BLOBS = [Descriptor("x", Digest.of(content), len(content)) for content in (b"a" * 1000, b"b" * 500)]


@pytest.fixture
def stocked(source: str) -> str:
    """Fill a registry with two images that share a layer."""
    images.put(source, "app:1", image(layer(1, 3_000_000), layer(2, 1_000_000)))
    images.put(source, "app:2", image(layer(1, 3_000_000), layer(3, 1_000_000)))
    return source


@pytest.mark.parametrize("columns", [80, 50, 20])
@pytest.mark.parametrize("jobs", [1, 4])
def test_a_terminal_shows_one_bar_that_fits_and_in_the_end_one_line(
    stocked: str, tmp_path: Path, columns: int, jobs: int
) -> None:
    with Proxy(stocked, bytes_per_second=8_000_000) as proxy:
        options = ["-r", proxy.address, "-i", "-j", jobs, "-f", tmp_path / "p.zip"]
        seen = screen.run("make-payload", *options, "app:1", "app:2", columns=columns)
    assert seen.status == 0, seen.text
    bars = [state for state in seen.states if "%" in state]
    assert bars
    assert all(len(bar) <= columns for bar in bars)
    percents = [
        int(number) for bar in bars if (number := bar[:12].split("%")[0].split()[-1]).isdigit()
    ]
    assert percents == sorted(percents)
    assert len(seen.left) == 1
    assert re.fullmatch(
        r"docker-charon: 2 images: 5\.0 MB carried, 0 B saved, in \d+\.\d s", seen.left[0]
    )
    if columns >= 80:
        assert re.search(r"Making +\d+% \|.*\|  [\d.]+ of 5\.0 MB", seen.text)
    if columns >= 50:
        assert re.search(r"[\d.]+ of 5\.0 MB", seen.text)


def test_a_push_shows_one_too(stocked: str, destination: str, tmp_path: Path) -> None:
    make_payload(stocked, tmp_path / "p.zip", ["app:1", "app:2"], secure=False)
    with Proxy(destination, bytes_per_second=8_000_000) as proxy:
        seen = screen.run("push-payload", "-r", proxy.address, "-i", "-f", tmp_path / "p.zip")
    assert "Pushing" in seen.text
    assert re.fullmatch(
        r"docker-charon: 2 images: 5\.0 MB uploaded, 0 B there already, in \d+\.\d s", seen.left[-1]
    )
    again = screen.run("push-payload", "-r", destination, "-i", "-f", tmp_path / "p.zip")
    assert "2 images: 0 B uploaded, 5.0 MB there already" in again.left[-1]


def test_an_interruption_leaves_the_line_that_says_how_to_go_on(
    stocked: str, tmp_path: Path
) -> None:
    with Proxy(stocked, bytes_per_second=300_000) as proxy:
        options = ["-r", proxy.address, "-i", "-j", "1", "-f", tmp_path / "p.zip"]
        seen = screen.run("make-payload", *options, "app:1", interrupt_after=0.3)
    assert seen.status == 130
    assert len(seen.left) == 1
    assert seen.left[0].startswith("docker-charon: interrupted")
    assert "traceback" not in seen.text.lower()


def test_what_an_earlier_run_left_is_shown_as_such(stocked: str, tmp_path: Path) -> None:
    options = ["-i", "-j", "1", "-f", tmp_path / "p.zip", "app:1"]
    lost = Rule("GET", images.digest_of(layer(2, 1_000_000)), Answer(403))
    with Proxy(stocked, [lost]) as proxy:
        broken = charon("make-payload", "-r", proxy.address, *options)
    assert broken.status == 1
    with Proxy(stocked) as proxy:
        seen = screen.run("make-payload", "-r", proxy.address, *options)
    bars = [state for state in seen.states if "Making" in state and "%" in state]
    assert all("|" in bar for bar in bars)
    assert ", 3.0 MB of it resumed, in" in seen.left[-1]


def test_elsewhere_a_line_tells_of_each_image(stocked: str, tmp_path: Path) -> None:
    options = ["-r", stocked, "-i", "-f", tmp_path / "p.zip"]
    done = charon("make-payload", *options, "app:1", "app:2")
    assert done.stdout == ""
    *complete, last = done.stderr.splitlines()
    assert sorted(line.split()[1] for line in complete) == ["app:1", "app:2"]
    assert complete[1].endswith("is complete (2 of 2 images)")
    assert last.startswith("docker-charon: 2 images: 5.0 MB carried, 0 B saved, in ")


def test_quiet_says_nothing(stocked: str, destination: str, tmp_path: Path) -> None:
    options = ["-i", "-q", "-f", tmp_path / "p.zip"]
    assert charon("make-payload", "-r", stocked, *options, "app:1").stderr == ""
    pushed = charon("push-payload", "-r", destination, *options)
    assert (pushed.stdout, pushed.stderr) == ("app:1\n", "")
    seen = screen.run("make-payload", "-r", stocked, *options, "app:2")
    assert seen.text == ""


def test_a_library_that_is_not_asked_says_nothing(
    stocked: str, capfd: pytest.CaptureFixture[str]
) -> None:
    make_payload(stocked, io.BytesIO(), ["app:1"], secure=False)
    assert capfd.readouterr() == ("", "")


def shown_until(words: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Return what is shown until a whole line with these words is among it."""
    text = ""
    while not (words in text and text.endswith("\n")):
        text += capsys.readouterr().err
    return text


def test_now_and_then_a_line_says_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "LINE_EVERY", 0.01)
    with Progress(
        "making", {b.digest: b.size for b in BLOBS}, {"app:1": [BLOBS[0].digest]}, True
    ) as watch:
        watch.moved(1000, reused=1000)
        watch.finished(BLOBS[0].digest)
        watch.moved(300)
        text = shown_until("1.3 of", capsys)
    assert "app:1 is complete (1 of 1 images)" in text
    line = next(line for line in text.splitlines() if "1.3 of" in line)
    assert re.fullmatch(
        r"docker-charon: Making: 1\.3 of 1\.5 kB, 1/2 blobs, 1\.0 kB resumed, "
        r".*/s, \d+ s left",
        line,
    )


def test_an_image_that_waits_for_nothing_is_complete_at_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Progress("making", {}, {"app:1": [Digest.of(b"there")]}, True):
        assert "app:1 is complete (1 of 1 images)" in capsys.readouterr().err


def test_bytes_that_are_added_later_belong_to_the_total(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "LINE_EVERY", 0.01)
    with Progress("pushing", {"mount": 0}, {"app:1": ["mount"]}, True) as watch:
        watch.grow(3000)
        watch.moved(1000, reused=1000)
        text = shown_until("1.0 of 3.0 kB, 0/1 blobs", capsys)
        assert "is complete" not in text
        watch.moved(2000)
        watch.finished("mount")
    assert "app:1 is complete (1 of 1 images)" in capsys.readouterr().err


def test_work_that_counts_nothing_says_what_it_does(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "LINE_EVERY", 0.01)
    with Progress("asking", {}, {}, True, note="registry.lan"):
        text = shown_until("Asking", capsys)
    assert text.splitlines()[0] == "docker-charon: Asking registry.lan: 0 s"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_dumb_terminal_gets_plain_lines(stocked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "dumb")
    make_payload(stocked, io.BytesIO(), ["app:1"], secure=False)
    lines = terminal.getvalue().splitlines()
    assert lines[0] == "docker-charon: app:1 is complete (1 of 1 images)"
    assert len(lines) == 2
    assert "\r" not in terminal.getvalue()


def test_a_callable_gets_events_and_nothing_is_shown(
    stocked: str, destination: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    events: list[ProgressEvent] = []
    payload = tmp_path / "p.zip"
    make_payload(stocked, payload, ["app:1", "app:2"], secure=False, progress=events.append)
    making = [event for event in events if event.phase == "making"]
    assert (making[0].bytes_done, making[0].blobs_done) == (0, 0)
    assert all(event.bytes_total == making[0].bytes_total for event in making)
    assert making[-1] == ProgressEvent(
        "making", making[0].bytes_total, making[0].bytes_total, 5, 5, 2, 2
    )

    push_payload_to_registry(destination, payload, secure=False, progress=events.append)
    assert "asking" in {event.phase for event in events}
    pushed = events[-1]
    assert (pushed.phase, pushed.blobs_done, pushed.images_done) == ("pushing", 5, 2)
    assert pushed.bytes_done == pushed.bytes_total

    assert verify_payload(payload, progress=events.append) == []
    assert (events[-1].phase, events[-1].bytes_done) == ("verifying", events[-1].bytes_total)
    make_inventory(destination, io.BytesIO(), secure=False, progress=events.append)
    assert (events[-1].phase, events[-1].images_done) == ("looking", 2)
    assert capfd.readouterr() == ("", "")


def test_a_callable_that_fails_ends_nothing(stocked: str, caplog: pytest.LogCaptureFixture) -> None:
    def broken(event: ProgressEvent) -> None:
        raise RuntimeError("no room for events")

    make_payload(stocked, io.BytesIO(), ["app:1"], secure=False, progress=broken)
    assert "RuntimeError: no room for events" in caplog.text


def test_a_transfer_goes_on_without_a_thread_for_its_progress(
    stocked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    events: list[ProgressEvent] = []
    monkeypatch.setattr("threading.Thread.start", refuse)
    make_payload(stocked, io.BytesIO(), ["app:1"], secure=False, jobs=1, progress=events.append)
    assert events[-1].images_done == 1


@pytest.mark.parametrize("wrong", ["yes", 1, [print]])
def test_anything_else_is_a_mistake(wrong: object, tmp_path: Path) -> None:
    unused = "registry.invalid"
    for call in (
        lambda: make_payload(unused, io.BytesIO(), ["app:1"], progress=wrong),  # type: ignore[arg-type]
        lambda: push_payload_to_registry(unused, tmp_path, progress=wrong),  # type: ignore[arg-type]
        lambda: verify_payload(tmp_path, progress=wrong),  # type: ignore[arg-type]
        lambda: make_inventory(unused, io.BytesIO(), progress=wrong),  # type: ignore[arg-type]
    ):
        with pytest.raises(TypeError, match="a callable that takes a ProgressEvent"):
            call()
