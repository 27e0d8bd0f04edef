"""Old content: where it is looked for, and what is believed."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from docker_charon.errors import BlobNotFound, DigestMismatch
from docker_charon.oci.descriptor import Descriptor
from docker_charon.oci.digest import Digest
from docker_charon.payload.partial_files.continued_blob import Fetch
from docker_charon.payload.reader import open_payload
from docker_charon.transfer.layer_deltas.old_content import OldContent
from docker_charon.workers import Workers
from images import digest_of, image, layer
from payloads import payload_of

LAYER = layer(1)
BLOB = Descriptor("", Digest.of(LAYER), len(LAYER))


def registry(contents: Mapping[str, bytes], asked: list[str]) -> Fetch:
    """Return a registry whose repositories have one blob each."""

    @contextmanager
    def fetch(blob: Descriptor, repository: str, start: int) -> Iterator[io.BytesIO]:
        asked.append(repository)
        if repository not in contents:
            raise BlobNotFound(f"{repository} has no {blob.digest}")
        yield io.BytesIO(contents[repository][start:])

    return fetch


def test_the_repositories_are_asked_in_turn() -> None:
    asked: list[str] = []
    old = OldContent([], registry({"b": LAYER}, asked))
    assert old.read(BLOB, ["a", "a", "b", "c"]) == LAYER
    assert asked == ["a", "b"]


def test_what_nobody_has_is_an_error() -> None:
    old = OldContent([], registry({}, []))
    with pytest.raises(BlobNotFound, match="b has no"):
        old.read(BLOB, ["a", "b"])
    with pytest.raises(BlobNotFound, match="no repository is known"):
        old.read(BLOB, [])


def test_wrong_content_is_an_error() -> None:
    old = OldContent([], registry({"a": b"?" * len(LAYER)}, []))
    with pytest.raises(DigestMismatch):
        old.read(BLOB, ["a"])


def test_a_payload_is_asked_before_any_registry(tmp_path: Path) -> None:
    asked: list[str] = []
    with open_payload(io.BytesIO(payload_of({"app:1": image(LAYER)}))) as payload:
        old = OldContent([payload], registry({}, asked))
        assert old.read(BLOB, ["app"]) == LAYER
        files = old.files({}, tmp_path, Workers())
        with files.file(BLOB.digest, BLOB.size) as file:
            assert digest_of(file.read_bytes()) == BLOB.digest
    assert asked == []


def test_a_file_comes_from_the_repositories_that_are_named_for_it(tmp_path: Path) -> None:
    old = OldContent([], registry({"b": LAYER}, []))
    files = old.files({BLOB.digest: ["a", "b"]}, tmp_path, Workers())
    with files.file(BLOB.digest, BLOB.size) as file:
        assert file.read_bytes() == LAYER
    assert list(tmp_path.iterdir()) == []
