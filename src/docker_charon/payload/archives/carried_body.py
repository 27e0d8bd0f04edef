"""The body of a carried blob: its content in an archive, verified while it is read."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator

from docker_charon.errors import DigestMismatch
from docker_charon.oci.descriptor import Descriptor
from docker_charon.payload.archives.archive import Archive
from docker_charon.payload.archives.damage import COPY_AGAIN
from docker_charon.value import dataclass


@dataclass(frozen=True, slots=True)
class CarriedBody:
    """The content of a carried blob: it has a length and can be read again."""

    archive: Archive
    blob: Descriptor
    entry: zipfile.ZipInfo

    def __len__(self) -> int:
        return self.blob.size

    def __iter__(self) -> Iterator[bytes | memoryview]:
        try:
            yield from self.blob.verified(self.archive.chunks(self.entry))
        except DigestMismatch as error:
            raise DigestMismatch(f"the payload is damaged: {error}", hint=COPY_AGAIN) from None
