"""The verification of a payload: every check that needs no network."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterable
from pathlib import Path

from docker_charon.errors import DockerCharonError, InvalidDigest, PayloadError
from docker_charon.messages import argument, get_logger
from docker_charon.oci.digest import Digest
from docker_charon.payload.archives.archive import Archive
from docker_charon.payload.archives.damage import damaged
from docker_charon.payload.archives.source import open_archive
from docker_charon.payload.file_object import PayloadSource, checked_sources
from docker_charon.payload.layer_deltas.delta_check import check_deltas, rebuild_deltas
from docker_charon.payload.reader import Payload
from docker_charon.payload.signature.signed_archive import verify_signature
from docker_charon.payload.volumes.joined_volumes import VolumePath
from docker_charon.payload.volumes.volume_content import verify_volume
from docker_charon.progress import Progress, ProgressArgument, check_progress, counted
from docker_charon.workers import Workers

_log = get_logger(__name__)


def verify_payload(
    zip_file: PayloadSource,
    *,
    payloads_already_transferred: Iterable[PayloadSource] = (),
    allowed_signers: str | os.PathLike[str] | None = None,
    jobs: int = 4,
    progress: ProgressArgument = None,
) -> list[str]:
    """Check every byte of a payload, without a network.

    This checks the structure of the zip, the CRC and the digest of every entry, and every
    reference from the list of images to the last layer: each must lead to an entry, or to a
    repository that the destination is expected to have. The destination is not asked. Layers that
    the payload carries as their difference to older ones are rebuilt if these are given.

    Args:
        zip_file: A path, or a file object opened for bytes, which stays open; one that cannot
            seek is first copied to a temporary file. If it is one volume of several, for example
            ``payload.zip.003``, then only this volume is checked.
        payloads_already_transferred: Earlier payloads, with the older layers. Without any, no layer
            is rebuilt. A layer whose older layers are not all in them is not rebuilt either, and a
            warning is logged.
        allowed_signers: A file of allowed signers, as ssh-keygen(1) describes it. The payload must
            be signed by one of them.
        jobs: The number of entries that are read in parallel.
        progress: As in `make_payload`.

    Returns:
        The problems, one line each; an empty list if the payload is complete and correct.

    Raises:
        PayloadError: The file cannot be read at all, or is not signed by an allowed signer; or an
            earlier payload cannot be read.
        DeltaError: Layers cannot be rebuilt, because the packages of ``docker-charon[deltas]`` are
            missing or the disk has too little room.
    """
    earlier = checked_sources(payloads_already_transferred, "payloads_already_transferred")
    findings: dict[str, None] = {}

    def report(error: DockerCharonError) -> None:
        findings[str(error)] = None

    check_progress(progress)
    workers = Workers(jobs)
    if isinstance(zip_file, (str, os.PathLike)):
        list_file = VolumePath.of(zip_file).listed_alone()
        if list_file is not None:
            return _verify_volume(Path(zip_file), list_file, allowed_signers, progress)
    with open_archive(zip_file, report) as archive:
        signer = None
        if allowed_signers is not None:
            signer = verify_signature(archive, allowed_signers)
        payload = None
        try:
            payload = Payload(archive, report, signer)
            check_deltas(payload, report)
        except DockerCharonError as error:
            report(error)
        entries = archive.entries.values()
        with Progress("verifying", {}, {}, progress) as shown:
            shown.grow(sum(info.file_size for info in entries))

            def check(info: zipfile.ZipInfo) -> None:
                try:
                    _check_content(archive, info, workers, shown)
                except DockerCharonError as error:
                    report(error)

            for batch in archive.batches(entries):
                workers.map(check, batch)
        if payload is not None and payload.deltas:
            if earlier:
                rebuild_deltas(payload, earlier, report, jobs, progress)
            else:
                _log.info(
                    "%s not rebuilt from older ones: give the earlier payloads too (%s)",
                    counted(len(payload.deltas), "layer"),
                    argument("--already-transferred-payload", "payloads_already_transferred="),
                )
    return list(findings)


def _verify_volume(
    path: Path,
    list_file: Path,
    allowed_signers: str | os.PathLike[str] | None,
    progress: ProgressArgument,
) -> list[str]:
    """Check one volume of several; return what is wrong with it."""
    if allowed_signers is not None:
        raise PayloadError(
            f"{path} is only one volume, and a signature is of the whole payload",
            hint=f"verify {list_file}",
        )
    try:
        verify_volume(path, list_file, progress=progress)
    except DockerCharonError as error:
        return [str(error)]
    return []


def _check_content(
    archive: Archive, info: zipfile.ZipInfo, workers: Workers, shown: Progress
) -> None:
    """Read an entry to its end; the path of a blob contains its digest."""
    digest = _digest_of(info.filename)
    hasher = digest.hasher() if digest else None
    for chunk in archive.chunks(info, check_crc=True):
        workers.check()
        if hasher is not None:
            hasher.update(chunk)
        shown.moved(len(chunk))
    if digest and hasher and hasher.hexdigest() != digest.encoded:
        raise damaged(f"{info.filename} has another digest")


def _digest_of(path: str) -> Digest | None:
    """Return the digest in a path: ``blobs/sha256/...``, or ``blobs/sha256:...`` in 0.1 and 0.4."""
    folder, _, name = path.partition("/")
    try:
        return Digest(name.replace("/", ":")) if folder == "blobs" else None
    except InvalidDigest:
        return None
