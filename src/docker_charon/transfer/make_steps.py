"""The steps of a make: the registries are asked, the payload is planned, and it is written."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from docker_charon.errors import DockerCharonError
from docker_charon.oci.image import NamedImage
from docker_charon.payload.file_object import PayloadTarget
from docker_charon.payload.format.contents import Contents
from docker_charon.payload.format.entries import Entry, LocalBlob, payload_entries
from docker_charon.payload.format.paths import blob_path, delta_path
from docker_charon.payload.format.places import Places
from docker_charon.payload.partial_files.partial_file import deltas_path
from docker_charon.payload.unreadable_blobs import UnreadableBlobs
from docker_charon.payload.writer import write_payload
from docker_charon.progress import Progress, ProgressArgument
from docker_charon.transfer.absent_layers import absent_layers
from docker_charon.transfer.delivered import Delivered
from docker_charon.transfer.log_lines import log_choices, log_make, make_summary
from docker_charon.transfer.naming.chosen_tags import ChosenTags
from docker_charon.transfer.naming.wanted_images import WantedImages
from docker_charon.transfer.plan import RepositoryBlob, blobs_at_destination, plan_make
from docker_charon.transfer.report_file import TransferReport
from docker_charon.transfer.resolve import Resolver
from docker_charon.transfer.shared_blobs import SharedBlobs
from docker_charon.transfer.summary import Summary
from docker_charon.value import dataclass
from docker_charon.workers import Workers

# Modules that only some payloads need are imported there, so that the others start quickly.


@dataclass(frozen=True, slots=True)
class Output:
    """What a make writes, unless it is a ``dry_run``: a payload, and the lock if there is a file.

    ``volume_size`` is in bytes, and ``None`` for a single file. ``signer`` signs the payload and
    the ledger (see `payload_entries`).
    """

    zip_file: PayloadTarget
    volume_size: int | None
    signer: Callable[[bytes], bytes] | None
    lock_file: Path | None
    layer_deltas: bool
    dry_run: bool


class MakeSteps:
    """One make: `ask_registries`, and then `make`, again while registries have lost some blobs.

    Images that cannot be read are left out if the ``resolver`` keeps going. ``registries`` may
    stand in front of repositories.
    """

    def __init__(
        self,
        wanted: WantedImages,
        delivered: Delivered,
        registries: frozenset[str],
        resolver: Resolver,
        workers: Workers,
        output: Output,
        report: TransferReport,
        progress: ProgressArgument,
        *,
        include_referrers: bool,
    ) -> None:
        self._wanted = wanted
        self._delivered = delivered
        self._registries = registries
        self._resolver = resolver
        self._sources = resolver.sources
        self._failed = resolver.failed
        self._workers = workers
        self._output = output
        self._report = report
        self._progress = progress
        self._include_referrers = include_referrers
        self._images: list[NamedImage] = []
        self._skipped: list[NamedImage] = []
        self._absent: set[RepositoryBlob] = set()
        self._told: set[str] = set()
        self._goes_on_after = self._lost_blobs = None
        if self._failed.keep_going:
            from docker_charon.transfer.lost_blobs import LostBlobs

            self._goes_on_after = self._failed.is_of_one_image
            self._lost_blobs = LostBlobs(self._sources, workers, progress)

    def ask_registries(self, newest: int | None) -> None:
        """Find the images; ``newest`` is the number of tags of each choice of tags."""
        wanted, failed, images = self._wanted, self._failed, self._resolver.images
        tags = ChosenTags(self._sources, failed, self._workers)
        with Progress("asking", {}, {}, self._progress, note=", ".join(wanted.registries)):
            self._images = images(tags.references(wanted.to_transfer, newest))
            self._skipped = images(
                tags.references(wanted.already_transferred, already_transferred=True),
                already_transferred=True,
            )
            failed.check()
            if self._include_referrers:
                self._images = self._resolver.with_referrers(self._images)
                failed.check()
            self._absent = absent_layers(
                self._sources, self._workers, [*self._images, *self._skipped]
            )

    def new_failures(self) -> dict[str, DockerCharonError]:
        """Return why images are left out, by their names: those that were not returned before."""
        errors = self._failed.by_name().items()
        new = {name: error for name, error in errors if name not in self._told}
        self._told.update(new)
        return new

    def leave_out(self, unreadable: UnreadableBlobs) -> None:
        """Leave out the images that need unreadable blobs; raises as `FailedImages.check` does."""
        self._images = self._failed.without(self._images, unreadable.errors)

    def make(self) -> Summary:
        """Write the payload, or only log it; raise `UnreadableBlobs` if it has to be another."""
        with contextlib.ExitStack() as stack:
            contents, shared_blobs, local = self._plan(stack)
            return self._write(contents, shared_blobs, local)

    def _plan(
        self, stack: contextlib.ExitStack
    ) -> tuple[Contents, SharedBlobs, Mapping[str, LocalBlob]]:
        """Return what the payload contains, and where its blobs are: at a registry, or here.

        The files of those that are here stay until ``stack`` is closed.
        """
        delivered, absent = self._delivered, self._absent
        contents = plan_make(self._images, self._skipped, delivered.blobs, absent, self._registries)
        shared_blobs = SharedBlobs(self._sources, contents.images, absent)
        if self._lost_blobs is not None:
            self._lost_blobs.check(contents.blobs, shared_blobs)
        if not self._output.layer_deltas:
            return contents, shared_blobs, {}
        from docker_charon.transfer.layer_deltas.contents import Destination, with_layer_deltas

        destination = Destination(
            blobs_at_destination(self._skipped, delivered.blobs, absent),
            self._skipped,
            delivered.payloads,
            None if delivered.site is None else delivered.site.ledger,
            delivered.allowed_signers,
            self._registries,
        )
        making_deltas = with_layer_deltas(
            *(self._output.zip_file, contents, destination, shared_blobs.open, self._workers),
            goes_on_after=self._goes_on_after,
            dry_run=self._output.dry_run,
            progress=self._progress,
        )
        contents, local = stack.enter_context(making_deltas)
        return contents, shared_blobs, local

    def _write(
        self, contents: Contents, shared_blobs: SharedBlobs, local: Mapping[str, LocalBlob]
    ) -> Summary:
        output, site = self._output, self._delivered.site
        logged = log_choices(contents, self._resolver.platforms)
        ledger_entries: list[Entry] = []
        if site is not None:
            site.check_target(output.zip_file, contents)
            ledger_signer = None if output.dry_run else output.signer
            ledger_entries = site.entries_after(contents, ledger_signer)
            contents = replace(contents, delivery=site.ledger.next_delivery(contents))
        entries = list(payload_entries(contents, output.signer, local))
        size = Places(entries).size
        left_out = {name: str(error) for name, error in self._failed.by_name().items()}
        self._report.made(contents, size, left_out)
        summary = Summary.of(contents, size, left_out, dry_run=output.dry_run)
        if output.dry_run:
            log_make(contents, size, output.volume_size, logged, len(left_out))
            return summary
        write_lock = self._lock_writer()
        with _writing_progress(contents, entries, self._progress) as shown_progress:
            write_payload(
                *(output.zip_file, entries, shared_blobs.open, shown_progress, self._workers),
                volume_size=output.volume_size,
                goes_on_after=self._goes_on_after,
            )
            if not output.layer_deltas:
                _remove_old_deltas(output.zip_file)
            if site is not None:
                site.replace(ledger_entries)
            write_lock()
            shown_progress.sum_up(make_summary(contents, len(left_out)))
        return summary

    def _lock_writer(self) -> Callable[[], None]:
        """Return what writes the lock of the images, if there is a file for it."""
        if self._output.lock_file is None:
            return lambda: None
        from docker_charon.transfer.lock import Origin, lock_content, write_lock

        references = [image.reference for image in self._images]
        content = lock_content(
            {reference: self._resolver.source_digest(reference) for reference in references},
            Origin(self._wanted.registry, self._wanted.is_secure, self._registries),
            self._resolver.platforms,
            include_referrers=self._include_referrers,
        )
        return partial(write_lock, self._output.lock_file, content)


def _remove_old_deltas(zip_file: PayloadTarget) -> None:
    """Remove what an interrupted run with layer deltas has left: the payload is complete now."""
    if isinstance(zip_file, (str, os.PathLike)):
        path = Path(os.path.realpath(zip_file))
        if deltas_path(path).exists():
            from docker_charon.transfer.layer_deltas.directory import remove_leftover

            remove_leftover(path)


def _writing_progress(
    contents: Contents, entries: Iterable[Entry], progress: ProgressArgument
) -> Progress:
    """Return the progress of writing ``entries``, whose keys are their paths."""
    sizes = {entry.path: entry.size for entry in entries if entry.blob is not None}
    needed = {
        image.name: [path(blob.digest) for blob in image.blobs for path in (blob_path, delta_path)]
        for image in contents.images
    }
    return Progress("making", sizes, needed, progress)
