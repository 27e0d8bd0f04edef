"""Reports, receipts and locks never replace the other files of a call."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from docker_charon import (
    DockerCharonError,
    PayloadError,
    make_payload,
    push_payload_to_registry,
)
from docker_charon.transfer.output_file import checked_target
from images import image, layer
from payloads import payload_of


@pytest.mark.parametrize(
    ("output", "other"),
    [
        ("p.zip", "p.zip"),
        ("./sub/../p.zip", "p.zip"),
        ("p.zip.002", "p.zip.volumes.json"),
        ("p.zip.volumes.json", "p.zip"),
        ("p.zip", "p.zip.001"),
        ("symbolic-link", "p.zip"),
        ("hard-link", "p.zip"),
    ],
)
def test_an_output_is_none_of_the_other_files(tmp_path: Path, output: str, other: str) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "p.zip").write_bytes(b"a payload")
    (tmp_path / "symbolic-link").symlink_to("p.zip")
    os.link(tmp_path / "p.zip", tmp_path / "hard-link")
    with pytest.raises(DockerCharonError, match="which the report would replace"):
        checked_target(tmp_path / output, "report", [None, tmp_path / other])


def test_an_output_may_replace_any_file_that_the_call_does_not_use(tmp_path: Path) -> None:
    (tmp_path / "earlier.json").write_bytes(b"{}")
    others = [tmp_path / "p.zip", None, b"not a path"]
    assert checked_target(tmp_path / "earlier.json", "report", others) == tmp_path / "earlier.json"


def test_a_read_only_directory_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    with pytest.raises(PayloadError, match="its directory is read-only"):
        checked_target(tmp_path / "r.zip", "receipt")


@pytest.mark.parametrize("options", [{"report": "p.zip"}, {"receipt": "p.zip"}])
def test_a_push_never_replaces_its_payload(tmp_path: Path, options: dict[str, str]) -> None:
    content = payload_of({"app:1": image(layer(1))})
    payload = tmp_path / "p.zip"
    payload.write_bytes(content)
    outputs: dict[str, Any] = {name: tmp_path / value for name, value in options.items()}
    with pytest.raises(DockerCharonError, match="would replace"):
        push_payload_to_registry("registry.invalid", payload, **outputs)
    assert payload.read_bytes() == content


def test_a_report_and_a_receipt_are_two_files(tmp_path: Path) -> None:
    payload = tmp_path / "p.zip"
    payload.write_bytes(payload_of({"app:1": image(layer(1))}))
    both = tmp_path / "r"
    with pytest.raises(DockerCharonError, match="would replace"):
        push_payload_to_registry("registry.invalid", payload, report=both, receipt=both)


@pytest.mark.parametrize("name", ["new.zip", "old.zip", "ledger.zip"])
def test_a_report_replaces_no_file_that_a_payload_is_made_from(tmp_path: Path, name: str) -> None:
    (tmp_path / "old.zip").write_bytes(payload_of({"app:1": image(layer(1))}))
    with pytest.raises(DockerCharonError, match="which the report would replace"):
        make_payload(
            "registry.invalid",
            tmp_path / "new.zip",
            ["app:2"],
            payloads_already_transferred=[tmp_path / "old.zip"],
            ledger=tmp_path / "ledger.zip",
            report=tmp_path / name,
        )
