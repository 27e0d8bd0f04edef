"""The entries of a payload that is to be written, in their order in the zip."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from docker_charon.oci.descriptor import Descriptor
from docker_charon.oci.document import MOST_VALUES, count_values
from docker_charon.payload.format.contents import Contents
from docker_charon.payload.format.index import index_document
from docker_charon.payload.format.layer_delta import count_bases
from docker_charon.payload.format.limits import (
    LONGEST_DOCUMENT,
    MOST_ENTRIES,
    SPLIT,
    Memory,
    TooLarge,
)
from docker_charon.payload.format.paths import (
    DESCRIPTOR_PATH,
    INDEX_PATH,
    LAYOUT_PATH,
    SIGNATURE_PATH,
    blob_path,
    delta_path,
)
from docker_charon.payload.format.payload_descriptor import descriptor_document
from docker_charon.value import dataclass

_LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a payload that is to be written; ``size`` is in bytes.

    Documents and manifests have ``content``. A blob has a descriptor, ``blob``, instead, and is
    fetched from ``repository`` when it is written, or read from ``file``. The descriptor of a delta
    is that of its own bytes.
    """

    path: str
    size: int
    content: bytes = b""
    blob: Descriptor | None = None
    repository: str = ""
    file: Path | None = None


@dataclass(frozen=True, slots=True)
class LocalBlob:
    """Bytes that are in a local file already, complete and verified: a blob, or a delta."""

    blob: Descriptor
    file: Path


def payload_entries(
    contents: Contents,
    sign: Callable[[bytes], bytes] | None = None,
    local: Mapping[str, LocalBlob] = MappingProxyType({}),
) -> Iterator[Entry]:
    """Yield the entries of a payload in their order: documents, manifests, deltas, blobs.

    ``sign`` returns the signature of a text; with it, the documents are signed (see `signed_text`).
    ``local`` has, by the paths of their entries, all deltas, and blobs that need not be fetched.

    Raises `TooLarge` if the payload would be too large to be opened again.
    """
    _check_limits(contents)
    documents = [
        _document(LAYOUT_PATH, _LAYOUT),
        _document(INDEX_PATH, index_document(contents)),
        _document(DESCRIPTOR_PATH, descriptor_document(contents)),
    ]
    yield from documents
    if sign is not None:
        from docker_charon.payload.format.signed_text import signed_text  # few payloads need it

        signature = sign(signed_text({entry.path: entry.content for entry in documents}))
        yield Entry(SIGNATURE_PATH, len(signature), signature)
    for manifest in contents.manifests:
        yield Entry(blob_path(manifest.digest), len(manifest.content), manifest.content)
    for path in map(delta_path, contents.deltas):
        delta = local[path]
        yield Entry(path, delta.blob.size, blob=delta.blob, file=delta.file)
    manifest_digests = {manifest.digest for manifest in contents.manifests}
    for blob, repository in contents.blobs.items():
        if blob.digest not in manifest_digests:  # an image may use a manifest as a layer
            path = blob_path(blob.digest)
            file = local[path].file if path in local else None
            yield Entry(path, blob.size, blob=blob, repository=repository, file=file)


def _check_limits(contents: Contents) -> None:
    count = 4 + len(contents.manifests) + len(contents.blobs) + len(contents.deltas)
    if count > MOST_ENTRIES:
        raise TooLarge(f"the payload is too large: it has {count:,} entries", hint=SPLIT)
    memory = Memory()
    memory.take_entries(count)
    locations = len(contents.blobs) + len(contents.at_destination) + count_bases(contents.deltas)
    memory.take_names(len(contents.images), locations)
    for manifest in contents.manifests:
        memory.take_manifest(manifest)
    for named in contents.images:
        for manifest in named.manifests:
            memory.take_use(manifest)


def _document(path: str, content: bytes) -> Entry:
    if len(content) > LONGEST_DOCUMENT or count_values(content) > MOST_VALUES:
        raise TooLarge(f"the payload is too large: there is too much in its {path}", hint=SPLIT)
    return Entry(path, len(content), content)
