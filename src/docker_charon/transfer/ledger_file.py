"""The file of a ledger: read, locked, corrected by receipts, and replaced."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO

from docker_charon.errors import DockerCharonError, PayloadError
from docker_charon.files import copy_mode, put_in_place, sync, without_link
from docker_charon.messages import argument, get_logger
from docker_charon.oci.digest import Digest
from docker_charon.payload.file_object import PayloadSource, PayloadTarget
from docker_charon.payload.format.contents import Contents
from docker_charon.payload.format.entries import Entry, payload_entries
from docker_charon.payload.format.limits import TooLarge
from docker_charon.payload.partial_files.locked_file import open_locked_zip
from docker_charon.payload.random_access import file_errors
from docker_charon.payload.reader import open_payload
from docker_charon.payload.volumes.volume_names import list_path
from docker_charon.special_file import is_stream, require_file
from docker_charon.transfer.inventory import write_inventory
from docker_charon.transfer.ledger import Ledger
from docker_charon.transfer.named_files import checked_target
from docker_charon.transfer.receipt import receipts_by_delivery

_CHUNK = 1024 * 1024  # bytes

_log = get_logger(__name__)


class LedgerFile:
    """The file of a ledger, which no other process changes in the meantime.

    ``ledger`` is what it says now, corrected by the receipts. ``is_confirmed`` is whether one of
    these is the receipt of the last delivery.
    """

    def __init__(
        self, path: Path, ledger: Ledger, file: IO[bytes] | None, *, is_confirmed: bool
    ) -> None:
        self.ledger = ledger
        self._is_confirmed = is_confirmed
        self._path = path
        self._file = file

    def entries_after(
        self, contents: Contents, sign: Callable[[bytes], bytes] | None
    ) -> list[Entry]:
        """Return the entries of the file when a payload with these contents is made.

        ``sign`` signs the file (see `payload_entries`). Raises `PayloadError` if it would be too
        large to be read again.
        """
        try:
            return list(payload_entries(self.ledger.after(contents).contents(), sign))
        except TooLarge as error:
            raise PayloadError(
                f"the ledger {self._path} is full: {error.message}",
                hint="put an inventory of the destination (make-inventory) in its place",
            ) from error

    def check_target(self, target: PayloadTarget, contents: Contents) -> None:
        """Warn if ``target`` is the last delivery and a payload without blobs replaces it.

        Somebody may have run the same command again before the delivery was on its way.
        """
        is_safe = self._is_confirmed or contents.blobs or contents.deltas or self._file is None
        if is_safe or not isinstance(target, (str, os.PathLike)) or is_stream(target):
            return
        if self._is_last(target, contents):
            number = self.ledger.number
            _log.warning(
                "%s is delivery %d, and is replaced by a payload that carries no layers, "
                "because the ledger counts on delivery %d: if the site does not get that, give "
                "the receipt of its next push (%s) when the next payload is made",
                *(os.fspath(target), number, number),
                argument("--receipt", "receipts="),
            )

    def _is_last(self, target: str | os.PathLike[str], contents: Contents) -> bool:
        """Whether a file is the last delivery.

        If some of its volumes are already on their way, it cannot be read: then it is taken for the
        last delivery if that had the images in ``contents``.
        """
        number, history = self.ledger.number, self.ledger.history
        try:
            with open_payload(target) as payload:
                last = payload.delivery
                return (
                    last is not None
                    and payload.arrival is None
                    and last.number == number > 0
                    and last.previous == history[-1]
                )
        except DockerCharonError:
            brought = {self.ledger.brought.get(image.root.digest) for image in contents.images}
            return brought == {number} and list_path(Path(target)).exists()

    def replace(self, entries: Iterable[Entry]) -> None:
        """Replace the file by one with these entries: completely, or not at all."""
        file = self._file
        if file is None:
            raise AssertionError("a ledger that is only read is not replaced")
        new = _new_path(self._path)
        with file_errors(f"cannot write the ledger {self._path}"):
            file.seek(0)
            write_inventory(file, entries)
            sync(file)
            copy_mode(self._path, new)
            put_in_place(new, self._path, file)
        self._file = None


@contextlib.contextmanager
def open_ledger(
    file: str | os.PathLike[str],
    receipts: Iterable[PayloadSource] = (),
    *,
    read_only: bool = False,
    allowed_signers: str | os.PathLike[str] | None = None,
) -> Iterator[LedgerFile]:
    """Open a ledger that may not exist yet, and correct what it says by receipts.

    Receipts count in the order of their deliveries; those of payloads without a ledger come last.
    It is locked until the block ends, unless it is only read. The lock is on ``PATH.new``, the file
    that takes its place, so that reading it needs no lock.

    Raises `PayloadError` if it is a pipe or another stream, if its directory does not exist, if
    another process is making a payload with it, if it carries layers, if a receipt is not one of
    its deliveries, or if one of the files is not signed by a person in ``allowed_signers``, where
    that is given.
    """
    if not isinstance(file, (str, os.PathLike)):
        raise TypeError("a ledger must be a path")
    path = Path(os.path.realpath(_checked(file, read_only=read_only)))
    with contextlib.ExitStack() as stack:
        locked = None if read_only else stack.enter_context(_locked(path))
        ledger = _read(path, allowed_signers)
        is_confirmed = False
        for number, receipt, name in receipts_by_delivery(receipts, allowed_signers):
            ledger = ledger.corrected(receipt, name)
            is_confirmed |= number == ledger.number
        yield LedgerFile(path, ledger, locked, is_confirmed=is_confirmed)


def _checked(file: str | os.PathLike[str], *, read_only: bool) -> Path:
    """Return the path of a ledger; of a symbolic link, which stays, that of its target."""
    with file_errors(f"cannot use the ledger {os.fspath(file)}"):
        require_file(file)
        return without_link(Path(file)) if read_only else checked_target(file, "ledger")


def _new_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.new")


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[IO[bytes]]:
    """Yield the locked file that may take the place of ``path``; remove it if it does not."""
    new = _new_path(path)
    with file_errors(f"cannot write the ledger {path}"):
        file = open_locked_zip(new, path)
    try:
        yield file
    finally:
        with contextlib.suppress(OSError, ValueError):
            if os.path.samestat(os.fstat(file.fileno()), new.stat()):
                if sys.platform == "win32":
                    file.close()
                new.unlink()
        file.close()


def _read(path: Path, allowed_signers: str | os.PathLike[str] | None) -> Ledger:
    """Read a ledger, or an inventory that has taken its place; it may not exist yet."""
    if not path.exists():
        _log.info("%s does not exist yet: this is the first delivery of a new ledger", path)
        return Ledger()
    with file_errors(f"cannot read the ledger {path}"), path.open("rb") as file:
        hasher = hashlib.sha256()
        while chunk := file.read(_CHUNK):
            hasher.update(chunk)
        file.seek(0)
        with open_payload(file, allowed_signers=allowed_signers) as payload:
            if payload.arrival is not None:
                raise PayloadError(
                    f"{path} is a receipt, not a ledger", hint="give it as a receipt instead"
                )
            is_delivery = payload.delivery is not None and payload.delivery.history is None
            if payload.carried or is_delivery:
                raise PayloadError(
                    f"{path} is a payload, not a ledger",
                    hint="give it as an already transferred payload instead",
                )
            return Ledger.of(payload, Digest(f"sha256:{hasher.hexdigest()}"))
