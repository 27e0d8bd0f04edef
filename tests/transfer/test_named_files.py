"""The files of one run: nothing that is written replaces another of them."""

from __future__ import annotations

import io
import os
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from docker_charon import (
    PayloadError,
    make_inventory,
    make_payload,
    push_payload_to_registry,
)
from docker_charon.transfer.named_files import (
    check_payload_target,
    checked_target,
    refuse_replacing,
)


def refuse(first: Path, second: Path) -> None:
    """Check a report and a payload, each as the one that is given first or second."""
    refuse_replacing({"the report": first}, {"the payload": [None, second]})
    refuse_replacing({"the report": first, "the receipt": None, "the payload": second}, {})


def test_different_files_are_accepted_whether_they_exist_or_not(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    (tmp_path / "b").touch()
    for first, second in [("a", "b"), ("a", "c"), ("c", "a"), ("c", "d")]:
        refuse(tmp_path / first, tmp_path / second)
    refuse_replacing({"the report": None, "the lock": None}, {"the payload": [None, io.BytesIO()]})


@pytest.mark.parametrize(
    ("way", "exists"),
    [
        *((way, True) for way in ("same", "another path", "symbolic link", "hard link")),
        *((way, False) for way in ("same", "another path", "symbolic link")),
    ],
)
def test_a_file_under_another_path_is_the_same_file(tmp_path: Path, way: str, exists: bool) -> None:
    file = tmp_path / "file"
    if exists:
        file.touch()
        (tmp_path / "hard").hardlink_to(file)
    (tmp_path / "symbolic").symlink_to(file)
    (tmp_path / "folder").mkdir()
    others = {
        "same": file,
        "another path": tmp_path / "folder" / ".." / "file",
        "symbolic link": tmp_path / "symbolic",
        "hard link": tmp_path / "hard",
    }
    for first, second in [(file, others[way]), (others[way], file)]:
        with pytest.raises(PayloadError, match="cannot be both the report and the payload; give"):
            refuse(first, second)
        with pytest.raises(PayloadError, match="cannot be both the report and the payload; give"):
            refuse_replacing({"the report": first, "the payload": second}, {})


@pytest.mark.parametrize("name", ["p.zip.001", "p.zip.002", "p.zip.volumes.json"])
@pytest.mark.parametrize("payload", ["p.zip", "p.zip.001", "p.zip.volumes.json"])
def test_the_volumes_of_a_payload_are_its_files(tmp_path: Path, payload: str, name: str) -> None:
    (tmp_path / "p.zip.volumes.json").touch()
    with pytest.raises(PayloadError, match="both the report and the payload"):
        refuse_replacing({"the report": tmp_path / name}, {"the payload": [tmp_path / payload]})


def test_volumes_are_written_to_none_of_the_other_files(tmp_path: Path) -> None:
    def write_volumes(report: str, earlier: str) -> None:
        refuse_replacing(
            {"the payload": tmp_path / "p.zip", "the report": tmp_path / report},
            {"an earlier payload": [tmp_path / earlier]},
            in_volumes=["the payload"],
        )

    (tmp_path / "p.zip").touch()
    write_volumes("report", "p.zip")  # it is a single file
    for name in ("p.zip.001", "p.zip.999", "p.zip.volumes.json"):
        with pytest.raises(PayloadError, match="both the payload and the report"):
            write_volumes(name, "earlier.zip")
        with pytest.raises(PayloadError, match="both the payload and an earlier payload"):
            write_volumes("report", name)


def test_single_files_with_numbers_are_no_volumes_of_each_other(tmp_path: Path) -> None:
    (tmp_path / "delivery.001").touch()
    refuse(tmp_path / "delivery.002", tmp_path / "delivery.001")


@pytest.mark.parametrize("argument", ["zip_file", "ledger", "lock", "cacert", "allowed_signers"])
def test_the_report_of_a_make_replaces_none_of_its_files(tmp_path: Path, argument: str) -> None:
    files: dict[str, Any] = {"zip_file": tmp_path / "p.zip", argument: tmp_path / "file"}
    with pytest.raises(PayloadError, match="cannot be both"):
        make_payload(
            "localhost:1", docker_images_to_transfer=["a"], report=files[argument], **files
        )


@pytest.mark.parametrize("argument", ["report", "receipt"])
def test_a_push_does_not_replace_its_payload(tmp_path: Path, argument: str) -> None:
    payload = tmp_path / "p.zip"
    payload.write_bytes(b"a payload")
    written: dict[str, Any] = {argument: payload}
    with pytest.raises(PayloadError, match=f"cannot be both the {argument} and the payload"):
        push_payload_to_registry("localhost:1", payload, **written)
    with payload.open("rb") as file, pytest.raises(PayloadError, match="cannot be both"):
        push_payload_to_registry("localhost:1", file, **written)
    assert payload.read_bytes() == b"a payload"


@pytest.mark.parametrize("target", ["none/p.zip", "folder", "link.zip"])
def test_a_payload_that_cannot_be_written_is_refused_before_a_registry_is_asked(
    tmp_path: Path, target: str
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link.zip").symlink_to(tmp_path / "none" / "p.zip")
    with pytest.raises(PayloadError, match="cannot write the payload"):
        make_payload("localhost:1", tmp_path / target, ["a"], secure=False)
    with pytest.raises(PayloadError, match="cannot write the inventory"):
        make_inventory("localhost:1", tmp_path / target, secure=False)


@pytest.mark.posix
def test_a_pipe_is_written_to_wherever_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    check_payload_target(tmp_path / "pipe", "payload")
    check_payload_target(io.BytesIO(), "payload")
    with pytest.raises(PayloadError, match="its directory is read-only"):
        check_payload_target(tmp_path / "p.zip", "payload")


@pytest.mark.posix
def test_what_is_written_at_the_end_is_no_link_and_may_be_a_pipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(Path("folder", "report"))
    (tmp_path / "lost").symlink_to(Path("none", "report"))
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "stdout").symlink_to("pipe")
    assert checked_target(tmp_path / "link", "report") == tmp_path / "folder" / "report"
    with pytest.raises(PayloadError, match="name a file in a directory that exists"):
        checked_target(tmp_path / "lost", "report")
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    for name in ("pipe", "stdout"):
        assert checked_target(tmp_path / name, "report") == tmp_path / name


def test_a_file_that_is_written_at_the_end_needs_a_directory_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert checked_target(tmp_path / "report", "report") == tmp_path / "report"
    for path in (tmp_path / "none" / "report", tmp_path):
        with pytest.raises(PayloadError, match="name a file in a directory that exists"):
            checked_target(path, "report")
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    with pytest.raises(PayloadError, match="its directory is read-only"):
        checked_target(tmp_path / "report", "report")
    with pytest.raises(TypeError, match="a report must be a path"):
        checked_target(io.BytesIO(), "report")  # type: ignore[arg-type]  # on purpose


@pytest.mark.posix
def test_a_pipe_is_no_ledger(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, kind in ((tmp_path / "pipe", "a pipe"), (Path("/dev/zero"), "a device")):
        with pytest.raises(PayloadError, match=f"cannot use the ledger {path}: it is {kind}"):
            make_payload("localhost:1", tmp_path / "p.zip", ["a"], secure=False, ledger=path)


@pytest.mark.posix
def test_what_cannot_be_written_at_the_end_is_refused_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # the path of a socket must be short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(PayloadError, match="it is a socket"):
        checked_target(tmp_path / "socket", "report")
    with pytest.raises(PayloadError, match="Bad file descriptor"):
        checked_target("/dev/fd/12345", "report")
    with pytest.raises(PayloadError, match="Too many levels"):
        checked_target(tmp_path / "loop", "report")
    assert checked_target("/dev/stdout", "report") == Path("/dev/stdout")


def test_a_name_that_ends_like_a_directory_is_not_the_name_of_a_file(tmp_path: Path) -> None:
    with pytest.raises(PayloadError, match="name a file in a directory that exists"):
        checked_target(f"{tmp_path / 'report'}{os.sep}", "report")


@pytest.mark.skipif(sys.platform != "linux", reason="pipes have no numbers on other systems")
def test_two_files_are_not_written_to_one_pipe(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    with (
        os.fdopen(reading, "rb"),
        os.fdopen(writing, "wb") as pipe,
        pytest.raises(PayloadError, match="cannot be both"),
    ):
        refuse_replacing({"the report": f"/dev/fd/{writing}", "the payload": pipe}, {})


@pytest.mark.posix
def test_a_device_may_be_named_twice() -> None:
    refuse_replacing({"the report": os.devnull, "the lock": os.devnull}, {})


def test_a_name_may_be_too_long_for_volumes(tmp_path: Path) -> None:
    refuse_replacing({"the report": tmp_path / ("r" * 250), "the payload": tmp_path / "p.zip"}, {})
