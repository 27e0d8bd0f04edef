"""A ledger: an inventory that says what one site has after all deliveries to it so far."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import field, replace
from pathlib import Path
from typing import IO

from docker_charon.errors import DockerCharonError, PayloadError
from docker_charon.files import copy_mode, is_device_or_pipe, put_in_place, sync
from docker_charon.messages import argument, get_logger
from docker_charon.oci.digest import Digest
from docker_charon.oci.image import NamedImage
from docker_charon.oci.reference import Reference
from docker_charon.payload.file_object import PayloadSource, PayloadTarget
from docker_charon.payload.format.contents import Contents
from docker_charon.payload.format.delivery import Arrival, Delivery
from docker_charon.payload.format.entries import Entry, payload_entries
from docker_charon.payload.format.limits import TooLarge
from docker_charon.payload.partial_files.locked_file import open_locked
from docker_charon.payload.random_access import file_errors
from docker_charon.payload.reader import Payload, open_payload
from docker_charon.progress import counted
from docker_charon.transfer.inventory import write_inventory
from docker_charon.transfer.naming.name_groups import NameGroup, united_registries
from docker_charon.transfer.plan import repositories_of, used_registries
from docker_charon.transfer.receipt import receipts_by_delivery
from docker_charon.value import dataclass

_CHUNK = 1024 * 1024  # bytes

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Ledger:
    """What a site has after ``number`` deliveries; nothing before the first one.

    ``digest`` is the SHA-256 digest of the file, ``None`` if there is none yet. ``images`` are
    those that the site has, the newest under each tag, and ``blobs`` has every blob with its
    repositories, those of older images too. ``brought`` and ``history`` are those of `Delivery`,
    and ``registries`` those of `Contents`. ``without_bases`` are blobs that a site lacks which also
    lacked what their delivery counted on; it is known from receipts and not in the file.
    """

    number: int = 0
    digest: Digest | None = None
    images: tuple[NamedImage, ...] = ()
    blobs: Mapping[Digest, tuple[str, ...]] = field(default_factory=dict)
    brought: Mapping[Digest, int] = field(default_factory=dict)
    history: tuple[Digest | None, ...] = ()
    registries: frozenset[str] = frozenset()
    without_bases: frozenset[Digest] = frozenset()

    @classmethod
    def of(cls, payload: Payload, digest: Digest) -> Ledger:
        """Return the ledger in a file; an inventory is one without deliveries."""
        delivery = payload.delivery or Delivery(0, None, history=())
        return cls(
            delivery.number,
            digest,
            _named_images(payload),
            _united({}, payload.delivered()),
            delivery.brought,
            delivery.history or (),
            payload.registries,
        )

    def names(self, where: str) -> NameGroup:
        """Return the repositories in it; ``where`` is what messages call the ledger."""
        return NameGroup(where, repositories_of(self.images, self.blobs.values()), self.registries)

    def next_delivery(self, contents: Contents) -> Delivery:
        """Return the place in the ledger of a payload with these contents."""
        counted_on = contents.expected.keys() & self.brought.keys()
        brought = {digest: self.brought[digest] for digest in counted_on}
        return Delivery(self.number + 1, self.digest, brought)

    def after(self, contents: Contents) -> Ledger:
        """Return what the site has when a payload with these contents has arrived too."""
        number = self.number + 1
        needed = [
            (blob.digest, image.reference.repository)
            for image in contents.images
            for blob in image.blobs
            if blob.digest not in contents.non_distributable
        ]
        expected = [
            (digest, repository)
            for digest, repositories in contents.expected.items()
            for repository in repositories
        ]
        carried = [*(blob.digest for blob in contents.blobs), *contents.deltas]
        carried += [image.root.digest for image in contents.images]
        return Ledger(
            number,
            None,
            _newest([*contents.images, *self.images]),
            _united(self.blobs, [*needed, *expected]),
            {**self.brought, **dict.fromkeys(carried, number)},
            (*self.history, self.digest),
            self.registries | contents.registries,
        )

    def corrected(self, receipt: Payload, name: str) -> Ledger:
        """Return it as a receipt, a file called ``name``, says that the site is.

        What is missing there was not delivered, unless a later delivery brought it. What is there
        was delivered. Raises `PayloadError` if the file is not a receipt of a delivery in this
        ledger.
        """
        arrival, delivery = receipt.arrival, receipt.delivery
        if arrival is None:
            raise PayloadError(
                f"{name} is not a receipt",
                hint="give payloads and inventories as already transferred instead",
            )
        number = self.number
        if delivery is not None:
            number = delivery.number
            if (
                not 1 <= number <= len(self.history)
                or self.history[number - 1] != delivery.previous
                or any(self.brought.get(image, 0) < number for image in _image_digests(receipt))
            ):
                raise PayloadError(
                    f"{name} is the receipt of a delivery {number} that is not in this ledger",
                    hint="use each receipt with the ledger of its site, or leave it out",
                )
        registries = united_registries([self.names("the ledger"), names_in(receipt, name)])
        blobs = dict(self.blobs)
        for digest, repositories in arrival.missing_blobs.items():
            if digest in blobs and self.brought.get(digest, 0) <= number:
                blobs[digest] = tuple(r for r in blobs[digest] if r not in repositories)
        gone = {digest for digest, repositories in blobs.items() if not repositories}
        blobs = {digest: names for digest, names in blobs.items() if digest not in gone}
        present = list(receipt.delivered())
        images = [
            image
            for image in self.images
            if not self._lacks(image, arrival, number)
            and not any(blob.digest in gone for blob in image.blobs)
        ]
        is_behind = any(self.brought.get(digest, 0) < number for digest in gone)
        lacking = f", and lacks {len(gone)} that the ledger says it has" if gone else ""
        _log.info(
            "%s: %s has %s of delivery %d%s",
            *(
                name,
                arrival.registry,
                counted(len({d for d, _ in present}), "blob"),
                number,
                lacking,
            ),
        )
        return replace(
            self,
            images=_newest([*images, *_named_images(receipt)]),
            blobs=_united(blobs, present),
            brought={d: n for d, n in self.brought.items() if d not in gone},
            registries=registries,
            without_bases=self.without_bases.union(arrival.missing_blobs if is_behind else ()),
        )

    def _lacks(self, image: NamedImage, arrival: Arrival, number: int) -> bool:
        """Whether the receipt of a delivery says that an image is missing."""
        missing, digest = arrival.missing_images.get(image.name), image.root.digest
        is_newer = self.brought.get(digest, 0) > number
        return missing is not None and missing.digest == digest and not is_newer

    def contents(self) -> Contents:
        """Return it as the contents of an inventory."""
        manifests = {m.digest: m for image in self.images for m in image.manifests}
        unavailable = {
            blob.digest
            for image in self.images
            for blob in image.blobs
            if blob.digest not in self.blobs
        }
        previous = self.history[-1] if self.history else None
        return Contents(
            images=self.images,
            skipped=frozenset(image.name for image in self.images),
            manifests=tuple(manifests.values()),
            blobs={},
            at_destination=dict(sorted(self.blobs.items())),
            non_distributable=frozenset(unavailable),
            delivery=Delivery(self.number, previous, self.brought, self.history),
            registries=used_registries(self.registries, self.images, self.blobs.values()),
        )


def names_in(payload: Payload, where: str) -> NameGroup:
    """Return the repositories in a payload; ``where`` is what messages call it."""
    repositories = repositories_of(payload.all_images, payload.at_destination.values())
    return NameGroup(where, repositories, payload.registries)


def _named_images(payload: Payload) -> tuple[NamedImage, ...]:
    """Return the images of a file whose manifests are in it, under the names that they have."""
    return tuple(
        # The reference in the payload has another digest if platforms were left out.
        NamedImage(
            image.name,
            Reference.parse_named(image.name, payload.registries),
            image.image,
            image.referrers,
        )
        for image in payload.all_images
        if image.image is not None
    )


def _image_digests(receipt: Payload) -> set[Digest]:
    """Return the digests of the images of a delivery, those that have arrived and the others."""
    arrived = {image.image.root.digest for image in receipt.all_images if image.image is not None}
    missing = receipt.arrival.missing_images.values() if receipt.arrival is not None else ()
    return arrived | {image.digest for image in missing if image.digest is not None}


def _newest(images: Iterable[NamedImage]) -> tuple[NamedImage, ...]:
    """Return the first image under each name and under each tag, in the order of the names."""
    by_name: dict[str, NamedImage] = {}
    by_target: dict[tuple[str, str], NamedImage] = {}
    for image in images:
        target = image.reference.repository, image.reference.target
        newest = by_target.setdefault(target, image)
        if newest.image.root.digest == image.image.root.digest:
            by_name.setdefault(image.name, image)
    return tuple(by_name[name] for name in sorted(by_name))


def _united(
    blobs: Mapping[Digest, Iterable[str]], more: Iterable[tuple[Digest, str]]
) -> dict[Digest, tuple[str, ...]]:
    """Return the repositories of blobs together with more of them."""
    united = {digest: dict.fromkeys(repositories) for digest, repositories in blobs.items()}
    for digest, repository in more:
        united.setdefault(digest, {})[repository] = None
    return {digest: tuple(repositories) for digest, repositories in united.items()}


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
        if is_safe or not isinstance(target, (str, os.PathLike)) or is_device_or_pipe(target):
            return
        with contextlib.suppress(DockerCharonError), open_payload(target) as payload:
            last = payload.delivery
            if last is not None and payload.arrival is None and self._is_last(last):
                _log.warning(
                    "%s is delivery %d, and is replaced by a payload that carries no layers, "
                    "because the ledger counts on delivery %d: if the site does not get that, give "
                    "the receipt of its next push (%s) when the next payload is made",
                    *(os.fspath(target), last.number, last.number),
                    argument("--receipt", "receipts="),
                )

    def _is_last(self, delivery: Delivery) -> bool:
        number, history = self.ledger.number, self.ledger.history
        return delivery.number == number > 0 and delivery.previous == history[-1]

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

    Raises `PayloadError` if another process is making a payload with it, if it carries layers, if
    a receipt is not one of its deliveries, or if one of the files is not signed by a person in
    ``allowed_signers``, where that is given.
    """
    if not isinstance(file, (str, os.PathLike)):
        raise TypeError("a ledger must be a path")
    with file_errors(f"cannot use the ledger {os.fspath(file)}"):
        path = Path(os.path.realpath(file))  # a symbolic link stays, and its target is replaced
    with contextlib.ExitStack() as stack:
        locked = None if read_only else stack.enter_context(_locked(path))
        ledger = _read(path, allowed_signers)
        is_confirmed = False
        for number, receipt, name in receipts_by_delivery(receipts, allowed_signers):
            ledger = ledger.corrected(receipt, name)
            is_confirmed |= number == ledger.number
        yield LedgerFile(path, ledger, locked, is_confirmed=is_confirmed)


def _new_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.new")


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[IO[bytes]]:
    """Yield the locked file that may take the place of ``path``; remove it if it does not."""
    new = _new_path(path)
    with file_errors(f"cannot write the ledger {path}"):
        file = open_locked(new, path)
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
