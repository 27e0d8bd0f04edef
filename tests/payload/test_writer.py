"""Writing payloads: to every kind of target, completely or not at all."""

from __future__ import annotations

import io
import os
import shutil
import stat
import subprocess
import tempfile
import threading
import zipfile
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from docker_charon.errors import BlobNotFound, DigestMismatch, PayloadError
from docker_charon.oci.descriptor import Descriptor
from docker_charon.oci.digest import Digest
from docker_charon.payload.format.entries import Entry
from docker_charon.payload.format.paths import blob_path
from docker_charon.payload.partial_files.continued_blob import Fetch
from docker_charon.payload.writer import write_payload
from docker_charon.progress import Progress
from images import layer

LAYERS = [layer(1), layer(2, 2_500_000), layer(3), b""]
MANIFEST = b'{"some": "manifest"}'
CONTENTS = {
    "oci-layout": b'{"imageLayoutVersion":"1.0.0"}',
    f"blobs/sha256/{Digest.of(MANIFEST).encoded}": MANIFEST,
    **{blob_path(Digest.of(content)): content for content in LAYERS},
}
TEXT = io.TextIOWrapper(io.BytesIO())
OLDER = b"an older payload, longer than nothing"


def entries() -> Iterator[Entry]:
    for path, content in CONTENTS.items():
        if content in LAYERS:
            blob = Descriptor("application/octet-stream", Digest.of(content), len(content))
            yield Entry(path, len(content), blob=blob, repository="app")
        else:
            yield Entry(path, len(content), content)


@contextmanager
def fetch(blob: Descriptor, repository: str, start: int) -> Iterator[io.BytesIO]:
    assert repository == "app"
    yield io.BytesIO(CONTENTS[blob_path(blob.digest)][start:])


class WriteOnly:
    """What has no place that it could go back to."""

    def __init__(self) -> None:
        self.taken = bytearray()

    def write(self, data: bytes | memoryview) -> None:
        self.taken += data

    def flush(self) -> None:
        pass


class ShortWrites(io.FileIO):
    """A file that takes a few bytes at a time, as an unbuffered one may."""

    def write(self, data: bytes) -> int:  # type: ignore[override]
        return super().write(data[: 64 * 1024 - 1])


def to_path(folder: Path) -> bytes:
    write_payload(str(folder / "payload.zip"), entries(), fetch)
    return (folder / "payload.zip").read_bytes()


def to_memory(_: Path) -> bytes:
    target = io.BytesIO()
    write_payload(target, entries(), fetch)
    return target.getvalue()


def to_raw_file(folder: Path) -> bytes:
    with ShortWrites(folder / "payload.zip", "wb") as target:
        write_payload(target, entries(), fetch)
    return (folder / "payload.zip").read_bytes()


def to_write_only(_: Path) -> bytes:
    target = WriteOnly()
    write_payload(target, entries(), fetch)
    return bytes(target.taken)


class Remote:
    """A file on another machine, as SFTP has it: not all that `io` has, and not the same."""

    def __init__(self) -> None:
        self.content = io.BytesIO(bytes(4_000_000))

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.content.tell()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> None:
        self.content.seek(offset, whence)

    def write(self, data: bytes) -> None:
        self.content.write(data)


class RemoteFile(Remote):
    def truncate(self, size: int) -> None:
        self.content.truncate(size)


def to_remote_file(_: Path) -> bytes:
    target = RemoteFile()
    write_payload(target, entries(), fetch)
    return target.content.getvalue()


def to_file_that_cannot_be_cut(_: Path) -> bytes:
    target = Remote()
    write_payload(target, entries(), fetch)
    return target.content.getvalue()[: target.tell()]


def to_appended_file(folder: Path) -> bytes:
    with (folder / "payload.zip").open("ab") as target:
        write_payload(target, entries(), fetch)
    return (folder / "payload.zip").read_bytes()


def to_file_that_a_shell_appends_to(folder: Path) -> bytes:
    """Write to what a shell makes of ``>> payload.zip``: nothing in Python says that it appends."""
    handle = os.open(folder / "payload.zip", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    with open(handle, "wb") as target:  # noqa: PTH123  # a descriptor, no path
        write_payload(target, entries(), fetch)
    return (folder / "payload.zip").read_bytes()


def read_in_parallel(source: Callable[[], bytes], write: Callable[[], None]) -> bytes:
    taken = bytearray()
    reader = threading.Thread(target=lambda: taken.extend(source()), daemon=True)
    reader.start()
    write()
    reader.join(20)
    assert not reader.is_alive()
    return bytes(taken)


def to_pipe(_: Path, buffering: int = -1) -> bytes:
    read_end, write_end = os.pipe()

    def write() -> None:
        with open(write_end, "wb", buffering) as target:  # noqa: PTH123  # a descriptor, no path
            write_payload(target, entries(), fetch)
            assert not target.closed

    with open(read_end, "rb") as source:  # noqa: PTH123  # as above
        return read_in_parallel(source.read, write)


def to_raw_pipe(folder: Path) -> bytes:
    return to_pipe(folder, buffering=0)


def to_fifo(folder: Path) -> bytes:
    path = folder / "fifo"
    os.mkfifo(path)
    taken = read_in_parallel(path.read_bytes, lambda: write_payload(path, entries(), fetch))
    assert stat.S_ISFIFO(path.stat().st_mode)
    return taken


def to_path_of_pipe(_: Path) -> bytes:
    """Write to what a shell makes of ``>(command)``."""
    read_end, write_end = os.pipe()

    def write() -> None:
        try:
            write_payload(f"/dev/fd/{write_end}", entries(), fetch)
        finally:
            os.close(write_end)

    with open(read_end, "rb") as source:  # noqa: PTH123  # as above
        return read_in_parallel(source.read, write)


Target = Callable[[Path], bytes]
SEEKABLE: list[Target] = [to_path, to_memory, to_raw_file, to_remote_file]
STREAMS: list[Target] = [
    to_write_only,
    to_file_that_cannot_be_cut,
    to_appended_file,
    to_file_that_a_shell_appends_to,
    to_pipe,
    to_raw_pipe,
]
if hasattr(os, "mkfifo"):  # Windows has none
    STREAMS += [to_fifo, to_path_of_pipe]


@pytest.mark.parametrize("target", SEEKABLE + STREAMS, ids=lambda target: target.__name__)
def test_every_kind_of_target_gets_every_entry_in_its_order(tmp_path: Path, target: Target) -> None:
    with zipfile.ZipFile(io.BytesIO(target(tmp_path))) as archive:
        assert archive.testzip() is None
        assert {path: archive.read(path) for path in archive.namelist()} == CONTENTS
        assert archive.namelist() == list(CONTENTS)
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}


@pytest.mark.parametrize("targets", [SEEKABLE, STREAMS], ids=["seekable", "streams"])
def test_the_same_entries_give_the_same_bytes(tmp_path: Path, targets: list[Target]) -> None:
    written = set()
    for n, target in enumerate(targets):
        (tmp_path / str(n)).mkdir()
        written.add(target(tmp_path / str(n)))
    assert len(written) == 1


@pytest.mark.parametrize("target", [to_path, to_pipe])
@pytest.mark.parametrize("program", [("unzip", "-t"), ("bsdtar", "-xOf")], ids=lambda p: p[0])
def test_other_programs_read_it(tmp_path: Path, program: tuple[str, str], target: Target) -> None:
    if shutil.which(program[0]) is None:
        pytest.skip(f"{program[0]} is not installed")
    (tmp_path / "copy.zip").write_bytes(target(tmp_path))
    found = subprocess.run([*program, tmp_path / "copy.zip"], capture_output=True, check=False)
    assert found.returncode == 0, found.stderr


@pytest.mark.parametrize("target", [to_memory, to_write_only])
def test_it_is_hardly_larger_than_its_content(tmp_path: Path, target: Target) -> None:
    size = sum(len(content) for content in CONTENTS.values())
    assert len(target(tmp_path)) <= size + 400 * len(CONTENTS)


class Recorder(Progress):
    """Records what a transfer reports."""

    def __init__(self) -> None:
        super().__init__("making", {}, {}, progress=False)
        self.moves: list[int] = []
        self.keys: list[Hashable] = []

    def moved(self, size: int, *, reused: int = 0) -> None:
        assert not reused
        self.moves.append(size)

    def finished(self, key: Hashable) -> None:
        self.keys.append(key)


@pytest.mark.parametrize("target", [io.BytesIO, tempfile.TemporaryFile])
def test_every_byte_and_every_blob_is_reported(target: Callable[[], IO[bytes]]) -> None:
    recorder = Recorder()
    with target() as file:
        write_payload(file, entries(), fetch, recorder)
    assert sum(recorder.moves) == sum(len(content) for content in LAYERS)
    assert len(recorder.moves) > len(LAYERS)
    assert set(recorder.keys) == {blob_path(Digest.of(content)) for content in LAYERS}
    assert len(recorder.keys) == len(LAYERS)


def test_a_blob_that_is_in_a_local_file_is_not_fetched(tmp_path: Path) -> None:
    local = tmp_path / "local"
    local.write_bytes(LAYERS[1])
    digest = Digest.of(LAYERS[1])
    blob = Descriptor("", digest, len(LAYERS[1]))
    entry = Entry(blob_path(digest), blob.size, blob=blob, file=local)
    write_payload(tmp_path / "payload.zip", [entry], lambda *_: pytest.fail("it was fetched"))
    with zipfile.ZipFile(tmp_path / "payload.zip") as archive:
        assert archive.read(entry.path) == LAYERS[1]
    local.write_bytes(LAYERS[1][:-1] + b"?")
    with pytest.raises(DigestMismatch):
        write_payload(tmp_path / "other.zip", [entry], fetch)


def test_a_file_is_written_from_where_it_stands_and_ends_with_the_payload() -> None:
    target = io.BytesIO(b"something before it" + bytes(4_000_000))
    target.seek(len(b"something before it"))
    write_payload(target, entries(), fetch)
    assert target.getvalue() == b"something before it" + to_memory(Path())
    assert not target.closed


@contextmanager
def broken(blob: Descriptor, _: str, start: int) -> Iterator[io.BytesIO]:
    if blob.digest == Digest.of(LAYERS[2]):
        raise BlobNotFound("it is gone")
    yield io.BytesIO(CONTENTS[blob_path(blob.digest)][start:])


@contextmanager
def damaged(blob: Descriptor, _: str, start: int) -> Iterator[io.BytesIO]:
    yield io.BytesIO(CONTENTS[blob_path(blob.digest)][start:-1] + b"!")


@contextmanager
def interrupted(blob: Descriptor, _: str, start: int) -> Iterator[io.BytesIO]:
    raise KeyboardInterrupt
    yield io.BytesIO()


@pytest.mark.parametrize("before", [None, OLDER], ids=["nothing there", "an older payload"])
@pytest.mark.parametrize(
    ("failing", "error"),
    [(broken, BlobNotFound), (damaged, DigestMismatch), (interrupted, KeyboardInterrupt)],
)
def test_a_failure_leaves_the_path_as_it_was(
    tmp_path: Path,
    failing: Fetch,
    error: type[BaseException],
    before: bytes | None,
) -> None:
    path = tmp_path / "payload.zip"
    if before:
        path.write_bytes(before)
    with pytest.raises(error):
        write_payload(path, entries(), failing)
    assert [found.read_bytes() for found in tmp_path.iterdir()] == ([before] if before else [])


def test_a_header_says_that_its_content_has_been_verified() -> None:
    target = io.BytesIO()
    with pytest.raises(DigestMismatch):
        write_payload(target, entries(), damaged)
    written = target.getvalue()
    assert LAYERS[1][:-1] + b"!" in written
    assert blob_path(Digest.of(LAYERS[1])).encode() not in written


def test_an_older_payload_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "payload.zip").write_bytes(OLDER * 100_000)
    write_payload(tmp_path / "payload.zip", entries(), fetch)
    assert (tmp_path / "payload.zip").read_bytes() == to_memory(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["payload.zip"]


@pytest.mark.parametrize("exists", [True, False])
def test_a_link_stays_one_and_its_target_is_written(tmp_path: Path, exists: bool) -> None:
    (tmp_path / "disk").mkdir()
    if exists:
        (tmp_path / "disk" / "real.zip").write_bytes(OLDER)
    (tmp_path / "payload.zip").symlink_to(Path("disk", "real.zip"))
    assert to_path(tmp_path) == (tmp_path / "disk" / "real.zip").read_bytes()
    assert (tmp_path / "payload.zip").is_symlink()
    assert [path.name for path in (tmp_path / "disk").iterdir()] == ["real.zip"]


def test_a_device_takes_it() -> None:
    write_payload(os.devnull, entries(), fetch)
    with Path(os.devnull).open("wb") as target:
        write_payload(target, entries(), fetch)


@pytest.mark.parametrize("path", ["", "missing/payload.zip", ".", "nul\0l.zip", "f/x.zip"])
def test_a_path_that_cannot_be_written_is_reported_in_one_line(
    tmp_path: Path, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("f").touch()
    with pytest.raises(PayloadError, match="cannot write") as raised:
        write_payload(path, entries(), fetch)
    assert "\n" not in str(raised.value)
    assert [found.name for found in tmp_path.iterdir()] == ["f"]


def test_a_closed_file_is_reported() -> None:
    target = io.BytesIO()
    target.close()
    with pytest.raises(PayloadError, match="cannot write the payload"):
        write_payload(target, entries(), fetch)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_disk_is_reported() -> None:
    with (
        open("/dev/full", "ab", buffering=0) as target,  # noqa: PTH123  # the device is the point
        pytest.raises(PayloadError, match="No space left"),
    ):
        write_payload(target, entries(), fetch)


def test_a_pipe_that_would_block_is_not_taken_for_one_that_took_everything() -> None:
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    with (
        open(read_end, "rb"),  # noqa: PTH123  # a descriptor, no path
        open(write_end, "wb", buffering=0) as target,  # noqa: PTH123  # as above
        pytest.raises(PayloadError),
    ):
        write_payload(target, entries(), fetch)


@pytest.mark.parametrize("target", [io.StringIO(), TEXT, None, 1, b"payload.zip", []])
def test_an_object_that_takes_no_bytes_is_a_type_error(target: object) -> None:
    with pytest.raises(TypeError, match="must be a path or a file opened for writing bytes"):
        write_payload(target, entries(), fetch)  # type: ignore[arg-type]
