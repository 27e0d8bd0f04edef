"""The verification of a payload: every check that needs no network."""

from __future__ import annotations

import os
import zipfile
from typing import IO

from docker_charon.errors import DockerCharonError, InvalidDigest, PayloadError
from docker_charon.oci.digest import Digest
from docker_charon.payload.archive import Archive, open_archive
from docker_charon.payload.reader import Payload
from docker_charon.progress import Bar
from docker_charon.workers import Workers


def verify_payload(
    zip_file: str | os.PathLike[str] | IO[bytes], *, jobs: int = 4, progress: bool | None = None
) -> list[str]:
    """Check every byte of a payload, without a network.

    This checks the structure of the zip, the CRC and the digest of every entry, and every
    reference from the list of images to the last layer: each must lead to an entry, or to a
    repository that the destination is expected to have. The destination is not asked.

    Args:
        zip_file: A path, or a file object opened for bytes, which stays open; one that cannot
            seek is first copied to a temporary file.
        jobs: The number of entries that are read in parallel.
        progress: ``False`` never shows a bar; otherwise it is shown if standard error is a
            terminal.

    Returns:
        The problems, one line each; an empty list if the payload is complete and correct.

    Raises:
        PayloadError: The file cannot be read at all.
    """
    findings: dict[str, None] = {}

    def report(error: DockerCharonError) -> None:
        findings[str(error)] = None

    workers = Workers(jobs)
    with open_archive(zip_file, report) as archive:
        try:
            Payload(archive, report)
        except DockerCharonError as error:
            report(error)
        entries = sorted(archive.entries.values(), key=lambda info: -info.file_size)
        with Bar("Verifying", sum(info.file_size for info in entries), progress) as bar:

            def check(info: zipfile.ZipInfo) -> None:
                try:
                    _check_content(archive, info, workers, bar)
                except DockerCharonError as error:
                    report(error)

            workers.map(check, entries)
    return list(findings)


def _check_content(archive: Archive, info: zipfile.ZipInfo, workers: Workers, bar: Bar) -> None:
    """Read an entry to its end; the path of a blob contains its digest."""
    digest = _digest_of(info.filename)
    hasher = digest.hasher() if digest else None
    for chunk in archive.chunks(info, check_crc=True):
        workers.check()
        if hasher is not None:
            hasher.update(chunk)
        bar.update(len(chunk))
    if digest and hasher and hasher.hexdigest() != digest.encoded:
        raise PayloadError(f"the payload is damaged: {info.filename} has another digest")


def _digest_of(path: str) -> Digest | None:
    """Return the digest in a path: ``blobs/sha256/...``, or ``blobs/sha256:...`` in 0.1 and 0.4."""
    folder, _, name = path.partition("/")
    try:
        return Digest(name.replace("/", ":")) if folder == "blobs" else None
    except InvalidDigest:
        return None
