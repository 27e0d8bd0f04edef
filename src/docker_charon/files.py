"""Files that survive a power failure, and locks on files that only one process may write.

Network shares, Windows drives in WSL and FUSE refuse some of these operations. Only renaming is
necessary; every other operation is left out if the file system refuses it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import sys
from pathlib import Path
from typing import IO, Any

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

DISK_IS_FULL = (errno.ENOSPC, errno.EDQUOT)
"""The errors of a disk without space, and of a user whose share of it is used up."""

_REFUSED = frozenset(
    {
        errno.EPERM,
        errno.EACCES,
        errno.EINVAL,
        errno.ENOTSUP,
        errno.EOPNOTSUPP,
        errno.ENOSYS,
        errno.ENOTTY,
    }
)
"""The errors of file systems that do not support an operation."""
_IN_USE = _REFUSED | {errno.EBUSY, errno.ETXTBSY, errno.EEXIST}
"""The errors of file systems that do not rename an open file, or do not replace another file."""
_MOUNTS = Path("/proc/self/mountinfo")
_FAT = ("msdos", "vfat")
_FAT_LIMIT = 2**32 - 1  # bytes of a file

_LOCK_OFFSET = 2**62  # Windows locks the byte there, which is never read or written


def lock(file: IO[bytes]) -> None:
    """Lock a file; raise ``BlockingIOError`` if another process has locked it.

    Nothing happens on a file system without locks.
    """
    try:
        if sys.platform == "win32":
            file.seek(_LOCK_OFFSET)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            file.seek(0)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError as error:
        if sys.platform == "win32" and isinstance(error, PermissionError):
            raise BlockingIOError from error


def sync(file: IO[bytes]) -> None:
    """Flush the content of an open file to the disk, if the file system supports that.

    Raises ``OSError`` if the content cannot be written.
    """
    try:
        os.fsync(file.fileno())
    except OSError as error:
        if error.errno not in _REFUSED:
            raise


def flush(path: Path) -> None:
    """Flush the content of a file to the disk; raises as `sync` does."""
    with path.open("rb+") as file:
        sync(file)


def flush_directory(directory: Path) -> None:
    """Flush a directory, if the system can, so that a rename in it survives a power failure."""
    with contextlib.suppress(OSError):
        handle = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def set_size(file: IO[bytes], size: int) -> None:
    """Cut or extend an open file to ``size`` bytes; raise ``OSError`` if it cannot be cut.

    A file that the file system cannot extend grows later, when it is written.
    """
    current = os.fstat(file.fileno()).st_size
    if current == size:
        return
    try:
        file.truncate(size)
    except OSError as error:
        if error.errno not in _REFUSED or current > size:
            raise


def is_same_file(file: Any, other_file: Any) -> bool:
    """Return whether two files, each a path or an open file, are the same regular file."""
    status, other_status = _status(file), _status(other_file)
    if status is None or other_status is None:
        return False
    return os.path.samestat(status, other_status)


def _status(file: Any) -> os.stat_result | None:
    """Return the status of a regular file; ``None`` for a device, a pipe, or a file in memory."""
    try:
        path = file if isinstance(file, (str, os.PathLike)) else file.fileno()
        status = os.stat(path)  # noqa: PTH116  # of a descriptor, too
    except (AttributeError, OSError, ValueError, TypeError):
        return None
    # Some network shares give every file the number 0.
    return status if stat.S_ISREG(status.st_mode) and status.st_ino else None


def is_device_or_pipe(path: str | os.PathLike[str]) -> bool:
    """Return whether a path leads to what takes bytes and must stay: a device, a pipe, a socket."""
    try:
        mode = Path(path).stat().st_mode
    except (OSError, ValueError):
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def copy_mode(source: Path, target: Path) -> None:
    """Give ``target`` the permissions of ``source``, if it exists and the file system allows it."""
    with contextlib.suppress(OSError):
        shutil.copymode(source, target)


def put_in_place(temporary: Path, target: Path, file: IO[bytes] | None = None) -> None:
    """Rename a flushed file to ``target``, which is complete at every moment.

    ``file`` is the temporary file if it is still open. It is closed, and the old target is deleted
    before the renaming, only if the file system demands this. Raises ``OSError``.
    """
    if file is not None and sys.platform == "win32":
        file.close()
    try:
        temporary.replace(target)
    except OSError as error:
        if error.errno not in _IN_USE:
            raise
        if file is not None:
            file.close()
        _replace(temporary, target)
    flush_directory(target.parent)


def _replace(temporary: Path, target: Path) -> None:
    """Rename a closed file; delete the file under the other name first if that is in the way."""
    try:
        temporary.replace(target)
    except OSError as error:
        if error.errno not in _IN_USE or not target.is_file():
            raise
        target.unlink()
        temporary.replace(target)


def write_durably(target: Path, content: bytes, temporary: Path) -> None:
    """Write ``target`` completely or not at all; raise ``OSError`` if it cannot be written.

    ``temporary`` is the path of a file on the same file system, which is written first. It is
    removed after a failure, unless the old target is gone already. A device or a pipe is written to
    and stays.
    """
    if is_device_or_pipe(target):
        with target.open("wb") as file:
            file.write(content)
        return
    is_there = target.exists()
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            sync(file)
        put_in_place(temporary, target)
    except BaseException:
        if target.exists() or not is_there:
            temporary.unlink(missing_ok=True)
        raise


def without_link(path: Path) -> Path:
    """Return the path that a symbolic link leads to, so that a new file leaves the link in place.

    Other paths, and links to devices and pipes, stay as they are.
    """
    is_link = path.is_symlink() and not is_device_or_pipe(path)
    return Path(os.path.realpath(path)) if is_link else path


def write_beside(target: Path, content: bytes) -> None:
    """Write ``target``, or what it links to, as `write_durably` does: ``TARGET.new`` is first."""
    target = without_link(target)
    write_durably(target, content, target.with_name(f"{target.name}.new"))


def size_limit(device: int) -> int | None:
    """Return the largest size of a file on a device with FAT, in bytes; else ``None``.

    ``device`` is a number such as ``st_dev``. Only Linux tells which file system a device has.
    """
    name = f"{os.major(device)}:{os.minor(device)}" if hasattr(os, "major") else ""
    with contextlib.suppress(OSError, ValueError):
        for line in _MOUNTS.read_text(errors="replace").splitlines():
            mount, _, source = line.partition(" - ")
            if mount.split()[2:3] == [name] and source.split()[:1] and source.split()[0] in _FAT:
                return _FAT_LIMIT
    return None
