"""What outlives a power failure: content is on the disk before it has its name, the name after."""

from __future__ import annotations

import errno
import io
import os
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import images
from conftest import Sent
from distribution import Api
from docker_charon import PayloadError, files, make_payload, serve
from docker_charon.files import set_size, size_limit, write_beside, write_durably
from docker_charon.payload.partial_files import disk_space
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


def test_a_link_stays_and_the_document_that_it_leads_to_is_replaced(
    disk: Disk, tmp_path: Path
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "document").write_bytes(b"first")
    (tmp_path / "link").symlink_to(Path("folder", "document"))
    write_beside(tmp_path / "link", b"second")
    assert (tmp_path / "link").is_symlink()
    assert disk.named == [tmp_path / "folder" / "document"]
    assert disk.named[0].read_bytes() == b"second"


@pytest.mark.posix
def test_a_pipe_and_a_device_are_written_to_and_stay(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "stdout").symlink_to("pipe")
    (tmp_path / "null").symlink_to(os.devnull)
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        for name in ("pipe", "stdout"):
            write_beside(tmp_path / name, b"content")
            assert os.read(reader, 100) == b"content"
        write_beside(tmp_path / "null", b"content")
        assert (tmp_path / "pipe").is_fifo()
        assert {path.name for path in tmp_path.iterdir()} == {"pipe", "stdout", "null"}
    finally:
        os.close(reader)


@pytest.mark.parametrize("exists", [True, False])
def test_a_document_that_cannot_get_its_name_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exists: bool
) -> None:
    def failing(path: Path, target: Path) -> Path:
        raise OSError(errno.EIO, "the disk is broken")

    if exists:
        (tmp_path / "document").write_bytes(b"first")
    monkeypatch.setattr(Path, "replace", failing)
    with pytest.raises(OSError, match="the disk is broken"):
        write_beside(tmp_path / "document", b"second")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"first"] * exists


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


def test_an_error_of_the_disk_is_not_taken_for_a_refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(handle: int) -> None:
        raise OSError(errno.EIO, "the disk is broken")

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(OSError, match="the disk is broken"):
        write_durably(tmp_path / "document", b"content", tmp_path / "temporary")
    assert not [*tmp_path.iterdir()]


def test_what_is_too_long_and_cannot_be_cut_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Uncuttable(io.FileIO):
        def truncate(self, size: int | None = None) -> int:
            raise OSError(errno.EPERM, "no")

    (tmp_path / "file").write_bytes(b"content")
    with Uncuttable(tmp_path / "file", "r+") as file:
        set_size(file, 7)
        set_size(file, 9)
        with pytest.raises(OSError, match="no"):
            set_size(file, 5)


@pytest.mark.parametrize(
    ("kind", "limit"), [("vfat", 2**32 - 1), ("msdos", 2**32 - 1), ("exfat", None), ("ext4", None)]
)
def test_the_largest_file_is_known_of_fat(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, limit: int | None
) -> None:
    monkeypatch.setattr(files, "_MOUNTS", mounts(tmp_path, kind))
    assert size_limit(tmp_path.stat().st_dev) == limit
    assert size_limit(os.makedev(4000, 1)) is None
    monkeypatch.setattr(files, "_MOUNTS", tmp_path / "nowhere")
    assert size_limit(tmp_path.stat().st_dev) is None


def test_a_payload_that_fat_cannot_hold_is_refused_before_a_layer_is_fetched(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sent: list[Sent]
) -> None:
    images.put(source, "app:1", image(layer(1, 50_000)))
    monkeypatch.setattr(files, "_MOUNTS", mounts(tmp_path, "vfat"))
    monkeypatch.setattr(files, "_FAT_LIMIT", 40_000)
    with pytest.raises(PayloadError, match=r"FAT32.*volume_size="):
        make_payload(source, tmp_path / "p.zip", ["app:1"], secure=False)
    with (
        (tmp_path / "stdout").open("wb") as file,
        pytest.raises(PayloadError, match="FAT32"),
    ):
        make_payload(source, file, ["app:1"], secure=False)
    assert not list(tmp_path.glob("p.zip*"))
    assert not [request for request in sent if request.is_for("GET", "/blobs/")]
    make_payload(source, tmp_path / "p.zip", ["app:1"], secure=False, volume_size=30_000)


def test_a_limit_that_nobody_told_of_is_explained(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_large(handle: int, offset: int, size: int) -> None:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))

    images.put(source, "app:1", image(layer(1)))
    monkeypatch.setattr(os, "posix_fallocate", too_large)
    monkeypatch.setattr(files, "set_size", too_large)
    monkeypatch.setattr(disk_space, "set_size", lambda file, size: too_large(0, 0, size))
    with pytest.raises(PayloadError, match="File too large; write it in volumes"):
        make_payload(source, tmp_path / "p.zip", ["app:1"], secure=False)


def mounts(folder: Path, kind: str) -> Path:
    """Return a list of mounts as Linux writes it, in which ``folder`` is on such a file system."""
    device = folder.stat().st_dev
    file = folder / "mountinfo"
    file.write_text(
        "22 1 4000:2 / / rw,relatime shared:1 - ext4 /dev/root rw\n"
        f"36 22 {os.major(device)}:{os.minor(device)} / /mnt/a\\040b rw,nosuid shared:2 master:1 - "
        f"{kind} /dev/sdb1 rw,fmask=0022\n"
    )
    return file
