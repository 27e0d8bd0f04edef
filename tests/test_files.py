"""What outlives a power failure: content is on the disk before it has its name, the name after."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import images
from distribution import Api
from docker_charon import make_payload, serve
from docker_charon.files import write_durably
from images import image, index, layer


@dataclass
class Disk:
    """What a power failure would spare, as far as it was asked for."""

    flushed: set[int] = field(default_factory=set)
    named: list[Path] = field(default_factory=list)
    unsafe: list[Path] = field(default_factory=list)
    """Names given to content that was not on the disk."""
    forgotten: dict[int, Path] = field(default_factory=dict)
    """Names whose directory has not been brought to the disk since, by its inode."""

    def flush(self, inode: int) -> None:
        self.flushed.add(inode)
        self.forgotten.pop(inode, None)

    def name(self, inode: int, target: Path) -> None:
        if inode not in self.flushed:
            self.unsafe.append(target)
        self.flushed.discard(inode)  # its number may be given to another file
        self.named.append(target)
        self.forgotten[target.parent.stat().st_ino] = target


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    found = Disk()
    fsync, replace = os.fsync, Path.replace

    def flushing(handle: int) -> None:
        fsync(handle)
        found.flush(os.fstat(handle).st_ino)

    def naming(path: Path, target: Path) -> Path:
        found.name(path.stat().st_ino, target)
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", flushing)
    monkeypatch.setattr(Path, "replace", naming)
    return found


def test_a_document_is_written_durably(disk: Disk, tmp_path: Path) -> None:
    for content in (b"first", b"second"):
        write_durably(tmp_path / "document", content, tmp_path / "temporary")
        assert (tmp_path / "document").read_bytes() == content
    assert len(disk.named) == 2
    assert not disk.unsafe
    assert not disk.forgotten


def test_a_pushed_image_is_on_the_disk_and_the_list_comes_last(disk: Disk, tmp_path: Path) -> None:
    app = index(image(layer(1), media_type=images.OCI), image(layer(2), media_type=images.OCI))
    with serve(storage=tmp_path / "layout") as server:
        Api(server.address).put("app:1", app)
        names = [path.name for path in disk.named]
        assert not disk.unsafe
        assert not disk.forgotten
    assert {digest.partition(":")[2] for digest in app.contents()} <= set(names)
    assert names[-2:] == [app.digest.partition(":")[2], "index.json"]


def test_a_payload_is_on_the_disk(disk: Disk, tmp_path: Path) -> None:
    with serve(storage=tmp_path / "layout") as server:
        Api(server.address).put("app:1", image(layer(1)))
        make_payload(server.address, tmp_path / "p.zip", ["app:1"], secure=False)
    assert disk.named[-1] == tmp_path / "p.zip"
    assert not disk.unsafe
    assert not disk.forgotten
