"""The making of layer deltas: what is fetched, compared, kept, and used again by the next run."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from docker_charon.deltas import read_header
from docker_charon.deltas.process import core_count, make_delta_in_process
from docker_charon.errors import DeltaError, DockerCharonError
from docker_charon.messages import get_logger
from docker_charon.oci.descriptor import Descriptor
from docker_charon.oci.digest import Digest
from docker_charon.payload.format.contents import Contents
from docker_charon.payload.format.entries import LocalBlob
from docker_charon.payload.format.layer_delta import Base, LayerDelta
from docker_charon.payload.format.paths import blob_path, delta_path
from docker_charon.payload.layer_deltas.rebuilt_blobs import BlobFiles
from docker_charon.payload.partial_files.continued_blob import Fetch
from docker_charon.payload.unreadable_blobs import GoesOnAfter, UnreadableBlobs
from docker_charon.progress import Progress, ProgressArgument, counted, shown_size
from docker_charon.transfer.layer_deltas.directory import Decision, DeltaDirectory
from docker_charon.transfer.layer_deltas.old_content import OldContent, registry_chunks
from docker_charon.value import dataclass
from docker_charon.workers import Workers

_UNPACKED = 4
"""The bytes of temporary files that a process needs for each byte of its layers, estimated."""

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A layer that may be carried as its difference to old ones, the best one first.

    ``repository`` is the one to fetch it from. The old layers have theirs at the destination.
    """

    layer: Descriptor
    repository: str
    olds: Mapping[Descriptor, tuple[str, ...]]

    @property
    def old_digests(self) -> list[Digest]:
        """The digests of the old layers."""
        return [old.digest for old in self.olds]


def delta_workers(jobs: int) -> Workers:
    """Return workers for `make_deltas`: no more than there are cores."""
    return Workers(min(jobs, core_count()))


def make_deltas(
    contents: Contents,
    candidates: Sequence[Candidate],
    old_content: OldContent,
    fetch: Fetch,
    directory: DeltaDirectory,
    workers: Workers,
    progress: ProgressArgument,
    goes_on_after: GoesOnAfter | None,
) -> tuple[Contents, dict[str, LocalBlob]]:
    """Make the deltas that save enough.

    Return the contents with them, and the files of the deltas and of layers that were fetched, by
    the paths of their entries. A layer whose delta cannot be made travels whole.

    Raises `PayloadError` if the disk has not enough space for the temporary files, and what
    ``fetch`` raises for a layer that has to travel, or `UnreadableBlobs` if ``goes_on_after`` says
    so.
    """
    if not candidates:
        return contents, {}
    needed = _needed_size(candidates, workers.jobs)
    _log.info(
        "comparing %s with older ones, which takes about %s of temporary files in %s",
        counted(len(candidates), "layer"),
        shown_size(needed),
        directory.path,
    )
    directory.check_room(needed)
    repositories: dict[Digest, dict[str, None]] = {}
    for candidate in candidates:
        for old, names in candidate.olds.items():
            in_turn = dict.fromkeys((*names, candidate.repository))
            repositories.setdefault(old.digest, {}).update(in_turn)
    olds = old_content.files(repositories, directory.olds_path(), workers)
    sizes = {candidate.layer.digest: candidate.layer.size for candidate in candidates}
    with Progress("comparing", sizes, {}, progress) as shown:
        making = _Making(olds, fetch, directory, shown, goes_on_after)
        for candidate in candidates:
            making.hold(candidate)
        made = workers.map(making.make, candidates)
    local = {path: file for result in made for path, file in result.local.items()}
    deltas = {
        candidate.layer.digest: result.delta
        for candidate, result in zip(candidates, made, strict=True)
        if result.delta is not None
    }
    if deltas:
        _log.info(
            "%s carried as the difference to older ones: %s instead of %s",
            counted(len(deltas), "layer"),
            shown_size(sum(delta.size for delta in deltas.values())),
            shown_size(sum(sizes[digest] for digest in deltas)),
        )
    blobs = {blob: name for blob, name in contents.blobs.items() if blob.digest not in deltas}
    return replace(contents, blobs=blobs, deltas=deltas), local


def _needed_size(candidates: Iterable[Candidate], jobs: int) -> int:
    """Return about how many bytes of temporary files are needed at the same time."""
    sizes = [(c.layer.size, sum(old.size for old in c.olds)) for c in candidates]
    in_process = sorted((new + old for new, old in sizes), reverse=True)[:jobs]
    return sum(new for new, _ in sizes) + _UNPACKED * sum(in_process)


@dataclass(frozen=True, slots=True)
class _Made:
    """What has become of a candidate: its delta, if there is one, and files by entry paths."""

    delta: LayerDelta | None
    local: Mapping[str, LocalBlob]


class _Making:
    """Makes the deltas of candidates, in several threads."""

    def __init__(
        self,
        olds: BlobFiles,
        fetch: Fetch,
        directory: DeltaDirectory,
        progress: Progress,
        goes_on_after: GoesOnAfter | None,
    ) -> None:
        self._olds = olds
        self._fetch = fetch
        self._directory = directory
        self._progress = progress
        self._goes_on_after = goes_on_after

    def hold(self, candidate: Candidate) -> None:
        """Keep its old layers, once they are there, until `make` does not need them any more."""
        for old in candidate.olds:
            self._olds.hold(old.digest, old.size)

    def make(self, candidate: Candidate) -> _Made:
        """Return what has become of a candidate; what an earlier run has decided is used again."""
        layer, directory = candidate.layer, self._directory
        decision = directory.recorded(layer.digest, candidate.old_digests)
        if decision is None:
            decision = self._decide(candidate)
        file = directory.blob_path(layer.digest)
        is_local = decision.delta is None and file.exists()
        if is_local:
            self._keep(candidate)
        for old in candidate.old_digests:
            self._olds.release(old)
        self._progress.moved(layer.size)
        self._progress.finished(layer.digest)
        if decision.delta is not None:
            directory.remove(layer.digest)
            return self._made(candidate, decision.delta)
        return _Made(None, {blob_path(layer.digest): LocalBlob(layer, file)} if is_local else {})

    def _decide(self, candidate: Candidate) -> Decision:
        layer, directory = candidate.layer, self._directory
        with contextlib.ExitStack() as stack:
            files = [self._old_file(old, stack) for old in candidate.olds]
            olds = [file for file in files if file is not None]
            if not olds:
                return Decision(None)
            new = self._keep(candidate)
            target = directory.delta_path(layer.digest)
            try:
                is_made = make_delta_in_process(new, olds, target, directory.path, directory.check)
            except DeltaError as error:
                _log.warning("the layer %s is carried whole: %s", layer.digest, error)
                return Decision(None)
        decision = Decision(directory.digest_of(target) if is_made else None)
        if len(olds) == len(files):  # otherwise the next run may have more of them
            directory.record(layer.digest, candidate.old_digests, decision)
        return decision

    def _keep(self, candidate: Candidate) -> Path:
        """Fetch what is missing of a layer; what is there is hashed, once in a run."""
        layer, repository = candidate.layer, candidate.repository
        try:
            return self._directory.keep(
                layer, partial(registry_chunks, self._fetch, layer, repository)
            )
        except DockerCharonError as error:
            if self._goes_on_after is None or not self._goes_on_after(error, repository):
                raise
            raise UnreadableBlobs({layer.digest: error}) from error

    def _old_file(self, old: Descriptor, stack: contextlib.ExitStack) -> Path | None:
        """Return the file of an old layer until ``stack`` is closed; ``None`` if there is none."""
        try:
            return stack.enter_context(self._olds.file(old.digest, old.size))
        except DockerCharonError as error:
            _log.info("the old layer %s cannot be used for a delta: %s", old.digest, error)
            return None

    def _made(self, candidate: Candidate, digest: Digest) -> _Made:
        file = self._directory.delta_path(candidate.layer.digest)
        with file.open("rb") as delta:
            header = read_header(delta)
        blob = Descriptor("", digest, file.stat().st_size)
        places = {old.digest: names for old, names in candidate.olds.items()}
        bases = {
            Digest(base.digest): Base(base.size, places[Digest(base.digest)])
            for base in header.bases
        }
        path = delta_path(candidate.layer.digest)
        return _Made(LayerDelta(blob.size, bases), {path: LocalBlob(blob, file)})
