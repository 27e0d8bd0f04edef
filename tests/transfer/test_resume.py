"""Resuming: inside a blob after a broken connection, and in the next run after a failure."""

from __future__ import annotations

import itertools
import re
import shutil
import signal
import subprocess
import sys
import threading
import zipfile
from collections import namedtuple
from pathlib import Path

import pytest

import images
from docker_charon import (
    BlobNotFound,
    DigestMismatch,
    PayloadError,
    RegistryError,
    make_payload,
    push_payload_to_registry,
)
from faults.processes import wait_until
from images import TestImage, image, layer
from payloads import payload_of
from proxy import (
    Action,
    Answer,
    Close,
    DropHeader,
    FlipBit,
    Head,
    IgnoreRange,
    Proxy,
    Request,
    Reset,
    Rule,
    SetHeader,
    Stall,
    Truncate,
)

WITH_BOTH_REGISTRIES = True

BIG = 1_000_000


@pytest.fixture
def app(source: str) -> TestImage:
    return images.put(source, "app:1", image(*(layer(n, BIG) for n in range(4))))


@pytest.fixture
def whole(source: str, app: TestImage, tmp_path: Path) -> bytes:
    """Return the bytes of a payload that was made without interruptions."""
    make_payload(source, tmp_path / "whole.zip", ["app:1"], secure=False, jobs=1)
    return (tmp_path / "whole.zip").read_bytes()


def blob_url(app: TestImage, n: int = -1) -> str:
    return f"/blobs/{images.digest_of(app.blobs[n])}"


@pytest.mark.parametrize("jobs", [1, 4])
@pytest.mark.parametrize(
    ("action", "times"),
    [
        (Reset(after=BIG // 2), 3),
        (Reset(after=BIG - 10), 3),
        (Close(after=BIG // 2), 3),
        (Close(after=1), 3),
        (Close(), 3),
        (Truncate(BIG // 3), 2),
    ],
    ids=str,
)
def test_a_blob_whose_connection_dies_arrives_all_the_same(
    source: str, app: TestImage, whole: bytes, tmp_path: Path, action: Action, times: int, jobs: int
) -> None:
    with Proxy(source, [Rule("GET", blob_url(app), action, times)]) as proxy:
        make_payload(proxy.address, tmp_path / "p.zip", ["app:1"], secure=False, jobs=jobs)
        assert len(proxy.matching("GET", blob_url(app))) > 1
    assert (tmp_path / "p.zip").read_bytes() == whole


def test_a_blob_goes_on_where_it_stopped(
    source: str, app: TestImage, whole: bytes, tmp_path: Path
) -> None:
    with Proxy(source, [Rule("GET", blob_url(app), Close(after=BIG // 2))]) as proxy:
        make_payload(proxy.address, tmp_path / "p.zip", ["app:1"], secure=False)
        first, second = proxy.matching("GET", blob_url(app))
    assert second.headers["range"] == f"bytes={BIG // 2}-"
    assert first.sent + second.sent == len(app.blobs[-1])
    assert (tmp_path / "p.zip").read_bytes() == whole


def test_a_registry_that_ignores_ranges_starts_the_blob_over(
    source: str, app: TestImage, whole: bytes, tmp_path: Path
) -> None:
    rules = [
        Rule("GET", blob_url(app), Reset(after=BIG // 2)),
        Rule("GET", blob_url(app), IgnoreRange(), times=None),
    ]
    with Proxy(source, rules) as proxy:
        make_payload(proxy.address, tmp_path / "p.zip", ["app:1"], secure=False)
        assert [r.status for r in proxy.matching("GET", blob_url(app))] == [200, 200]
    assert (tmp_path / "p.zip").read_bytes() == whole


@pytest.mark.parametrize(
    "action",
    [
        SetHeader("Content-Range", "bytes 0-9/10"),
        SetHeader("Content-Range", f"bytes 0-{len(layer(3, BIG)) - 1}/{len(layer(3, BIG))}"),
        DropHeader("Content-Range"),
        Answer(416),
    ],
    ids=["another part", "another start", "no word of the part", "refused"],
)
def test_a_part_that_is_not_the_rest_is_not_taken_for_it(
    source: str, app: TestImage, whole: bytes, tmp_path: Path, action: Action
) -> None:
    rules = [
        Rule("GET", blob_url(app), Close(after=BIG // 2)),
        Rule("GET", blob_url(app), action),
    ]
    with Proxy(source, rules) as proxy:
        make_payload(proxy.address, tmp_path / "p.zip", ["app:1"], secure=False)
        _, second, third = proxy.matching("GET", blob_url(app))
    assert "range" in second.headers
    assert "range" not in third.headers
    assert (tmp_path / "p.zip").read_bytes() == whole


def test_a_wrong_blob_is_fetched_again_from_its_first_byte(
    source: str, app: TestImage, whole: bytes, tmp_path: Path
) -> None:
    with Proxy(source, [Rule("GET", blob_url(app), FlipBit(at=1000))]) as proxy:
        make_payload(proxy.address, tmp_path / "p.zip", ["app:1"], secure=False)
        assert len(proxy.matching("GET", blob_url(app))) == 2
    assert (tmp_path / "p.zip").read_bytes() == whole


def test_a_blob_that_stays_wrong_is_told_after_a_few_tries(
    source: str, app: TestImage, tmp_path: Path
) -> None:
    with Proxy(source, [Rule("GET", blob_url(app), FlipBit(at=1000), times=None)]) as proxy:
        with pytest.raises(DigestMismatch, match=images.digest_of(app.blobs[-1])):
            make_payload(proxy.address, tmp_path / "p.zip", ["app:1"], secure=False)
        assert len(proxy.matching("GET", blob_url(app))) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_a_connection_that_only_breaks_is_told_and_the_next_run_fetches_the_rest(
    source: str, app: TestImage, whole: bytes, tmp_path: Path
) -> None:
    payload = tmp_path / "p.zip"
    config = blob_url(app, 0)  # the smallest blob, so the last one
    with Proxy(source, [Rule("GET", config, Reset(), times=None)]) as proxy:
        with pytest.raises(RegistryError, match="broke") as raised:
            make_payload(proxy.address, payload, ["app:1"], secure=False, jobs=1)
        assert raised.value.partial == tmp_path / "p.zip.partial"
        assert not payload.exists()
    with Proxy(source) as proxy:
        make_payload(proxy.address, payload, ["app:1"], secure=False)
        assert [r.path for r in proxy.matching("GET", "/blobs/")] == [f"/v2/app{config}"]
    assert payload.read_bytes() == whole


def make_in_process(address: str, payload: Path, *names: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "docker_charon", "make-payload", "-q", "-i"),
            *("-j", "2", "-r", address, "-f", str(payload), *names),
        ],
        stderr=subprocess.PIPE,
    )


def two_of(app: TestImage) -> list[Rule]:
    """Return rules that let two of the layers through, and half of each of the others."""
    layers = "|".join(blob_url(app, n) for n in range(1, 5))
    return [Rule("GET", layers, Stall(after=BIG // 2), times=None, skip=2)]


def wait_for_two(proxy: Proxy) -> None:
    """Wait until both jobs fetch another layer: two are whole."""
    wait_until(lambda: sum(request.sent >= BIG // 2 for request in proxy.requests) == 4)


def in_flight_at_most(proxy: Proxy, app: TestImage, whole_before: int) -> None:
    layers = proxy.matching("GET", "|".join(blob_url(app, n) for n in range(1, 5)))
    assert len(layers) <= 4 - whole_before


ENDED = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
"""The exit statuses after signals that a process can answer."""


@pytest.mark.parametrize("how", [signal.SIGKILL, *ENDED])
def test_the_same_command_goes_on_after_its_end(
    source: str, app: TestImage, whole: bytes, tmp_path: Path, how: signal.Signals
) -> None:
    payload = tmp_path / "p.zip"
    with Proxy(source, two_of(app)) as proxy:
        process = make_in_process(proxy.address, payload, "app:1")
        wait_for_two(proxy)
        process.send_signal(how)
        stderr = process.communicate(timeout=60)[1].decode()
    assert not payload.exists()
    if how in ENDED:
        assert process.returncode == ENDED[how]
        match = re.fullmatch(
            r"docker-charon: interrupted; the same command goes on from (.*), "
            r"([\d,]+) of ([\d,]+) bytes are there\n",
            stderr,
        )
        assert match, stderr
        assert match[1] == str(tmp_path / "p.zip.partial")
        present, size = (int(number.replace(",", "")) for number in match.groups()[1:])
        assert 2 * BIG < present < size == len(whole)
    with Proxy(source) as proxy:
        make_payload(proxy.address, payload, ["app:1"], secure=False)
        in_flight_at_most(proxy, app, whole_before=2)
    assert payload.read_bytes() == whole
    assert sorted(p.name for p in tmp_path.iterdir()) == ["p.zip", "source", "whole.zip"]


# --- Inside a blob, in the next run ---------------------------------------------------------------

LARGE = 4_000_000
PIECE = 1024 * 1024
"""Bytes of a blob that are written, and marked as there, at a time."""
PART = 2 * PIECE


@pytest.fixture
def large(source: str) -> TestImage:
    """Put an image with one large layer, so that no blob is whole for a long time."""
    return images.put(source, "large:1", image(layer(5, LARGE)))


def wait_for_part(app: TestImage, payload: Path, size: int) -> None:
    """Wait until so many bytes of the only layer are in the files of an unfinished payload."""
    end = app.blobs[-1][size - 100 : size]
    wait_until(lambda: any(end in path.read_bytes() for path in payload.parent.glob("p.zip*")))


def interrupted_inside(
    source: str, large: TestImage, payload: Path, how: signal.Signals, *options: str
) -> None:
    """End a run when `PART` of its only large blob is there, and no more of it comes."""
    with Proxy(source, [Rule("GET", blob_url(large), Stall(after=PART))]) as proxy:
        process = make_in_process(proxy.address, payload, *options, "large:1")
        wait_for_part(large, payload, PART)
        process.send_signal(how)
        process.communicate(timeout=60)


def start_of(request: Request) -> int:
    """Return the offset in the blob from which a request asks for it."""
    return int(request.headers.get("range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))


def went_on(proxy: Proxy, app: TestImage) -> None:
    """See that one request fetched what was missing."""
    (rest,) = proxy.matching("GET", blob_url(app))
    assert PART - PIECE <= start_of(rest) <= PART
    assert rest.sent == len(app.blobs[-1]) - start_of(rest)


@pytest.mark.parametrize("how", [signal.SIGKILL, *ENDED])
def test_a_blob_in_flight_goes_on_in_the_next_run(
    source: str, large: TestImage, tmp_path: Path, how: signal.Signals
) -> None:
    payload = tmp_path / "p.zip"
    interrupted_inside(source, large, payload, how)
    with Proxy(source) as proxy:
        make_payload(proxy.address, payload, ["large:1"], secure=False)
        went_on(proxy, large)
    assert payload.read_bytes() == undisturbed(source, tmp_path, "large:1")


def undisturbed(source: str, folder: Path, *names: str) -> bytes:
    make_payload(source, folder / "undisturbed.zip", names, secure=False)
    return (folder / "undisturbed.zip").read_bytes()


def test_a_blob_in_flight_goes_on_in_volumes_too(
    source: str, large: TestImage, tmp_path: Path
) -> None:
    payload, options = tmp_path / "p.zip", ("--volume-size", "2MB")
    interrupted_inside(source, large, payload, signal.SIGKILL, *options)
    with Proxy(source) as proxy:
        make_payload(proxy.address, payload, ["large:1"], secure=False, volume_size=2_000_000)
        went_on(proxy, large)
    volumes = sorted(tmp_path.glob("p.zip.0*"))
    content = b"".join(volume.read_bytes() for volume in volumes)
    assert content == undisturbed(source, tmp_path, "large:1")


def test_a_blob_in_flight_is_taken_over_by_another_list_of_images(
    source: str, large: TestImage, tmp_path: Path
) -> None:
    payload = tmp_path / "p.zip"
    images.put(source, "other:1", image(layer(9)))
    interrupted_inside(source, large, payload, signal.SIGKILL)
    with Proxy(source) as proxy:
        make_payload(proxy.address, payload, ["other:1", "large:1"], secure=False)
        went_on(proxy, large)
    assert payload.read_bytes() == undisturbed(source, tmp_path, "other:1", "large:1")
    assert not list(tmp_path.glob("*.partial*"))


def test_a_registry_that_ignores_ranges_is_read_past_what_is_there(
    source: str, large: TestImage, tmp_path: Path
) -> None:
    payload = tmp_path / "p.zip"
    interrupted_inside(source, large, payload, signal.SIGKILL)
    with Proxy(source, [Rule("GET", blob_url(large), IgnoreRange(), times=None)]) as proxy:
        make_payload(proxy.address, payload, ["large:1"], secure=False)
        assert [r.status for r in proxy.matching("GET", blob_url(large))] == [200]
    assert payload.read_bytes() == undisturbed(source, tmp_path, "large:1")


@pytest.mark.parametrize("damage", [bytes(4096), b"\xff" * 10])
def test_a_beginning_that_a_crash_damaged_is_fetched_again_once(
    source: str, large: TestImage, tmp_path: Path, damage: bytes
) -> None:
    payload, partial = tmp_path / "p.zip", tmp_path / "p.zip.partial"
    interrupted_inside(source, large, payload, signal.SIGKILL)
    with partial.open("r+b") as file:
        file.seek(500_000)
        file.write(damage)
    with Proxy(source) as proxy:
        make_payload(proxy.address, payload, ["large:1"], secure=False)
        rest, again = proxy.matching("GET", blob_url(large))
    assert "range" in rest.headers
    assert "range" not in again.headers
    assert payload.read_bytes() == undisturbed(source, tmp_path, "large:1")


def test_a_large_layer_arrives_over_a_line_that_is_cut_by_runs_that_are_killed(
    source: str, large: TestImage, tmp_path: Path
) -> None:
    payload, kills = tmp_path / "p.zip", 2
    rules = [
        Rule("GET", blob_url(large), Stall(after=PIECE), times=kills),
        Rule("GET", blob_url(large), Reset(after=PIECE), times=None),
    ]
    with Proxy(source, rules) as proxy:
        for kill in range(kills):
            process = make_in_process(proxy.address, payload, "large:1")
            wait_until(lambda kill=kill: len(proxy.matching("GET", blob_url(large))) > kill)  # type: ignore[misc]
            latest = proxy.matching("GET", blob_url(large))[-1]
            wait_for_part(large, payload, start_of(latest) + PIECE)
            process.kill()
            process.communicate()
        make_payload(proxy.address, payload, ["large:1"], secure=False)
        starts = [start_of(request) for request in proxy.matching("GET", blob_url(large))]
    assert starts[0] == 0
    assert len(starts) > kills + 1
    assert all(later > earlier for earlier, later in itertools.pairwise(starts))
    assert payload.read_bytes() == undisturbed(source, tmp_path, "large:1")


@pytest.mark.usefixtures("_one_try")
def test_a_lost_registry_leaves_the_blob_in_flight(
    source: str, large: TestImage, tmp_path: Path
) -> None:
    payload, half = tmp_path / "p.zip", LARGE // 2
    rules = [Rule("GET", blob_url(large), Close(after=half), times=None)]
    with (
        Proxy(source, rules) as proxy,
        pytest.raises(RegistryError, match="broke") as raised,
    ):
        make_payload(proxy.address, payload, ["large:1"], secure=False)
    assert raised.value.partial == tmp_path / "p.zip.partial"
    assert raised.value.partial_size is not None
    present, size = raised.value.partial_size
    assert half <= present < size
    with Proxy(source) as proxy:
        make_payload(proxy.address, payload, ["large:1"], secure=False)
        (rest,) = proxy.matching("GET", blob_url(large))
    assert rest.headers["range"] == f"bytes={half}-"
    assert size == payload.stat().st_size


def test_another_list_of_images_takes_over_what_it_shares(
    source: str, app: TestImage, tmp_path: Path
) -> None:
    payload = tmp_path / "p.zip"
    images.put(source, "other:1", image(layer(9, BIG)))
    with Proxy(source, two_of(app)) as proxy:
        process = make_in_process(proxy.address, payload, "app:1")
        wait_for_two(proxy)
        process.kill()
        process.communicate()
    with Proxy(source) as proxy:
        make_payload(proxy.address, payload, ["other:1", "app:1"], secure=False)
        in_flight_at_most(proxy, app, whole_before=2)
    make_payload(source, tmp_path / "undisturbed.zip", ["other:1", "app:1"], secure=False)
    assert payload.read_bytes() == (tmp_path / "undisturbed.zip").read_bytes()
    assert not list(tmp_path.glob("*.partial*"))


def test_what_was_damaged_meanwhile_is_fetched_again(
    source: str, app: TestImage, whole: bytes, tmp_path: Path
) -> None:
    payload, partial = tmp_path / "p.zip", tmp_path / "p.zip.partial"
    damaged = bytearray(whole)
    damaged[len(whole) // 2] ^= 1
    partial.write_bytes(damaged)
    with Proxy(source) as proxy:
        make_payload(proxy.address, payload, ["app:1"], secure=False)
        assert len(proxy.matching("GET", "/blobs/")) == 1
    assert payload.read_bytes() == whole


def test_a_blob_that_is_gone_leaves_no_partial_file(
    only_docker_registry: None, source: str, app: TestImage, tmp_path: Path
) -> None:
    images.delete_blob(source, "app", images.digest_of(app.blobs[0]))
    with pytest.raises(BlobNotFound):
        make_payload(source, tmp_path / "p.zip", ["app:1"], secure=False)
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


class Hold(Action):
    """Hold answers back until they may go on."""

    def __init__(self) -> None:
        self.go_on = threading.Event()

    def answer(self, head: Head) -> None:
        assert self.go_on.wait(120)


def test_two_runs_on_one_target_do_not_mix(
    source: str, app: TestImage, whole: bytes, tmp_path: Path
) -> None:
    payload, hold = tmp_path / "p.zip", Hold()
    with Proxy(source, [Rule("GET", "/blobs/", hold, times=None)]) as proxy:
        process = make_in_process(proxy.address, payload, "app:1")
        wait_until(lambda: proxy.matching("GET", "/blobs/"))
        with pytest.raises(PayloadError, match="another docker-charon is writing"):
            make_payload(source, payload, ["app:1"], secure=False)
        hold.go_on.set()
        assert process.wait(60) == 0
        process.communicate()
    assert payload.read_bytes() == whole


@pytest.mark.parametrize("jobs", [1, 2, 8])
def test_the_bytes_do_not_depend_on_the_jobs(
    source: str, whole: bytes, tmp_path: Path, jobs: int
) -> None:
    make_payload(source, tmp_path / "p.zip", ["app:1"], secure=False, jobs=jobs)
    assert (tmp_path / "p.zip").read_bytes() == whole


@pytest.mark.parametrize("how", ENDED)
@pytest.mark.parametrize("jobs", [1, 4])
def test_a_push_is_stopped_in_time_and_sets_no_tag_and_gives_its_uploads_back(
    destination: str, tmp_path: Path, how: signal.Signals, jobs: int
) -> None:
    name, large = "large:1", image(*(layer(n, 3_000_000) for n in range(4)))
    (tmp_path / "p.zip").write_bytes(payload_of({name: large}))
    with Proxy(destination, bytes_per_second=100_000) as proxy:  # it would take half a minute
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "docker_charon", "push-payload", "-q", "-i"),
                *("-j", str(jobs), "-r", proxy.address, "-f", str(tmp_path / "p.zip")),
            ],
            stderr=subprocess.PIPE,
        )
        wait_until(lambda: sum(request.received > 0 for request in proxy.requests) == jobs)
        process.send_signal(how)
        stderr = process.communicate(timeout=60)[1]
        begun = {request.path.partition("?")[0] for request in proxy.matching("PUT", "/uploads/")}
        given_back = {r.path.partition("?")[0] for r in proxy.matching("DELETE", "/uploads/")}
    assert process.returncode == ENDED[how]
    assert re.fullmatch(rb"docker-charon: interrupted; run the same command again: .*\n", stderr)
    assert given_back <= begun
    # On a slow machine, the time for it may be over before the last of several.
    assert len(given_back) >= max(1, jobs - 1)
    assert images.read(destination, name) is None
    assert push_payload_to_registry(destination, tmp_path / "p.zip", secure=False) == [name]


def test_what_was_fetched_outlives_two_changes_of_the_list(
    source: str, app: TestImage, whole: bytes, tmp_path: Path
) -> None:
    payload, partial = tmp_path / "p.zip", tmp_path / "p.zip.partial"
    images.put(source, "other:1", image(layer(9, BIG)))
    partial.write_bytes(whole[: -len(whole) // 3])
    config = "/v2/other/blobs/"
    with (
        Proxy(source, [Rule("GET", config, Close(), times=None)]) as proxy,
        pytest.raises(RegistryError),
    ):
        make_payload(proxy.address, payload, ["other:1", "app:1"], secure=False, jobs=1)
    with Proxy(source) as proxy:
        make_payload(proxy.address, payload, ["app:1"], secure=False)
        in_flight_at_most(proxy, app, whole_before=2)
    assert payload.read_bytes() == whole


def test_a_header_with_another_checksum_is_written_anew(
    source: str, whole: bytes, tmp_path: Path
) -> None:
    content = bytearray(whole)
    with zipfile.ZipFile(tmp_path / "whole.zip") as archive:
        info = max(archive.infolist(), key=lambda info: info.file_size)
    content[info.header_offset + 14] ^= 1
    (tmp_path / "p.zip.partial").write_bytes(content)
    make_payload(source, tmp_path / "p.zip", ["app:1"], secure=False)
    assert (tmp_path / "p.zip").read_bytes() == whole


@pytest.mark.usefixtures("app")
def test_too_little_room_leaves_what_was_fetched_for_others(
    source: str, whole: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    partial = tmp_path / "p.zip.partial"
    images.put(source, "other:1", image(layer(9)))
    partial.write_bytes(whole[: len(whole) // 2])
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(100_000))
    with pytest.raises(PayloadError, match="more bytes"):
        make_payload(source, tmp_path / "p.zip", ["app:1", "other:1"], secure=False)
    assert partial.read_bytes() == whole[: len(whole) // 2]
