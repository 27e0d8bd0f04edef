"""Payloads for tests: made in memory from test images, changed, and read with `zipfile`."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from docker_charon.oci.descriptor import Descriptor
from docker_charon.oci.digest import Digest
from docker_charon.oci.image import Image, NamedImage
from docker_charon.oci.manifest import Manifest
from docker_charon.oci.reference import Reference
from docker_charon.payload.format.entries import payload_entries
from docker_charon.payload.format.paths import DESCRIPTOR_PATH, blob_path
from docker_charon.payload.writer import write_payload
from docker_charon.transfer.plan import plan_make
from images import TestImage, digest_of


def named(name: str, wanted: TestImage, registries: Collection[str] = ()) -> NamedImage:
    """Return a test image as the flows see it."""
    contents = wanted.contents()
    graph = Image.collect(
        Manifest.parse(wanted.manifest), lambda child: Manifest.of(child, contents[child.digest])
    )
    return NamedImage(name, Reference.parse_named(name, registries), graph)


def payload_of(
    wanted: Mapping[str, TestImage],
    already: Mapping[str, TestImage] | None = None,
    sign: Callable[[bytes], bytes] | None = None,
    registries: Collection[str] = (),
) -> bytes:
    """Make a payload as `make_payload` does, out of memory; names may have ``registries``."""
    contents = plan_make(
        [named(name, image, registries) for name, image in wanted.items()],
        [named(name, image, registries) for name, image in (already or {}).items()],
    )
    contents = replace(contents, registries=frozenset(registries))
    blobs = {key: value for image in wanted.values() for key, value in image.contents().items()}

    @contextmanager
    def fetch(blob: Descriptor, _: str, start: int) -> Iterator[io.BytesIO]:
        yield io.BytesIO(blobs[blob.digest][start:])

    target = io.BytesIO()
    write_payload(target, payload_entries(contents, sign), fetch)
    return target.getvalue()


def older_payload(
    images: Mapping[str, TestImage | None], left_out: Mapping[str, str], release: str
) -> bytes:
    """Make a payload as docker-charon 0.1 or 0.4 did; ``left_out`` blobs are in a repository."""
    entries, paths = {}, {}
    places: dict[str, Any] = {digest: {"repository": name} for digest, name in left_out.items()}
    for name, image in images.items():
        paths[name] = None if image is None else "manifests/" + name.replace("/", "_")
        if image is not None:
            entries[str(paths[name])] = image.manifest
            for blob in image.blobs:
                if digest_of(blob) not in left_out:
                    entries[f"blobs/{digest_of(blob)}"] = blob
                    places[digest_of(blob)] = {"zip_path": f"blobs/{digest_of(blob)}"}
    document: Any = {"manifests_paths": paths, "blobs_paths": places}
    entries[DESCRIPTOR_PATH] = json.dumps(paths if release == "0.1" else document).encode()
    return zipped(entries)


def zipped(
    entries: Mapping[str, bytes], compressions: Sequence[int] = (zipfile.ZIP_STORED,)
) -> bytes:
    """Return a zip of these entries, with the ``compressions`` in turn."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for n, (path, content) in enumerate(entries.items()):
            archive.writestr(path, content, compressions[n % len(compressions)])
    return target.getvalue()


def unzipped(content: bytes) -> dict[str, bytes]:
    """Return the content of every entry by path."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {path: archive.read(path) for path in archive.namelist()}


def path_of(content: bytes) -> str:
    """Return where a payload has this content."""
    return blob_path(Digest.of(content))


def edited(content: bytes, changes: Mapping[str, bytes | None]) -> bytes:
    """Return a payload with other entries; those that are ``None`` are left out."""
    entries = {**unzipped(content), **changes}
    return zipped({path: value for path, value in entries.items() if value is not None})


def with_json(content: bytes, path: str, change: Callable[[Any], object]) -> bytes:
    """Return a payload with another JSON document at ``path``, which ``change`` has edited."""
    document = json.loads(unzipped(content)[path])
    change(document)
    return edited(content, {path: json.dumps(document).encode()})


def changed(payload: io.BytesIO, change: Callable[[Any], object]) -> io.BytesIO:
    """Return a payload with another descriptor, which ``change`` has edited."""
    return io.BytesIO(with_json(payload.getvalue(), DESCRIPTOR_PATH, change))


def flip(payload: Path, path: str) -> None:
    """Damage one byte of an entry's content."""
    content = bytearray(payload.read_bytes())
    with zipfile.ZipFile(payload) as archive:
        content[archive.getinfo(path).header_offset + 200] ^= 1
    payload.write_bytes(content)


def carried(payload: Path | io.BytesIO) -> dict[str, bytes]:
    """Return what a payload has under ``blobs/``, by digest."""
    with zipfile.ZipFile(payload) as archive:
        assert archive.testzip() is None
        return {
            ":".join(path.split("/")[1:]): archive.read(path)
            for path in archive.namelist()
            if path.startswith("blobs/")
        }


def described(payload: Path) -> dict[str, dict[str, object]]:
    """Return a payload's descriptor."""
    document: dict[str, dict[str, object]]
    document = json.loads(unzipped(payload.read_bytes())[DESCRIPTOR_PATH])
    return document
