"""The files of one run: nothing that is written replaces another of them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from docker_charon import PayloadError, make_payload, push_payload_to_registry
from docker_charon.transfer.named_files import checked_target, refuse_replacing


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


@pytest.mark.parametrize("exists", [True, False])
@pytest.mark.parametrize("way", ["same", "another path", "symbolic link"])
def test_a_file_under_another_path_is_the_same_file(tmp_path: Path, way: str, exists: bool) -> None:
    file = tmp_path / "file"
    if exists:
        file.touch()
    (tmp_path / "symbolic").symlink_to(file)
    (tmp_path / "folder").mkdir()
    others = {
        "same": file,
        "another path": tmp_path / "folder" / ".." / "file",
        "symbolic link": tmp_path / "symbolic",
    }
    for first, second in [(file, others[way]), (others[way], file)]:
        with pytest.raises(PayloadError, match="cannot be both the report and the payload; give"):
            refuse(first, second)
        with pytest.raises(PayloadError, match="cannot be both the report and the payload; give"):
            refuse_replacing({"the report": first, "the payload": second}, {})


@pytest.mark.parametrize("name", ["p.zip.001", "p.zip.volumes.json"])
def test_the_volumes_of_a_payload_are_its_files(tmp_path: Path, name: str) -> None:
    with pytest.raises(PayloadError, match="both the payload and the report"):
        refuse_replacing(
            {"the payload": tmp_path / "p.zip", "the report": tmp_path / name},
            {},
            in_volumes=["the payload"],
        )
    refuse_replacing(
        {"the payload": tmp_path / "p.zip", "the report": tmp_path / "p.zip"},
        {},
        in_volumes=["the payload"],
    )
    (tmp_path / name).touch()
    with pytest.raises(PayloadError, match="both the report and the payload"):
        refuse_replacing({"the report": tmp_path / name}, {"the payload": [tmp_path / "p.zip"]})


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


def test_a_file_that_is_written_at_the_end_needs_a_directory_at_the_start(tmp_path: Path) -> None:
    assert checked_target(tmp_path / "report", "report") == tmp_path / "report"
    for path in (tmp_path / "none" / "report", tmp_path):
        with pytest.raises(PayloadError, match="name a file in a directory that exists"):
            checked_target(path, "report")
    with pytest.raises(TypeError, match="a report must be a path"):
        checked_target(io.BytesIO(), "report")  # type: ignore[arg-type]  # on purpose
