"""Payloads with deltas for tests: layers of several versions, and payloads made in memory."""

from __future__ import annotations

import functools
import gzip
import io
import itertools
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from deltas.layers import tar, text, written
from docker_charon.deltas import make_delta
from docker_charon.oci.descriptor import Descriptor
from docker_charon.oci.digest import Digest
from docker_charon.payload.format.entries import Entry, payload_entries
from docker_charon.payload.format.layer_delta import Base, LayerDelta
from docker_charon.payload.format.paths import delta_path
from docker_charon.payload.writer import write_payload
from docker_charon.transfer.plan import plan_make
from images import TestImage, image
from payloads import named

Deltas = Mapping[bytes, Sequence[bytes]]
"""New layers, each with the old layers that its delta is made from."""


@functools.cache
def version(number: int, name: str = "app") -> bytes:
    """Return a version of a layer; nearly all of its content is in every version."""
    files = {"same": text(150_000, len(name)), "changed": text(3_000, 1000 + number)}
    return gzip.compress(tar(files, mtime=number), mtime=0)


@functools.cache
def delta_of(new: bytes, olds: tuple[bytes, ...]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        new_path, *old_paths = written(Path(folder), new, *olds)
        target = Path(folder) / "delta"
        made = make_delta(new_path, old_paths, target)
        assert made is not None
        assert [base.digest for base in made.bases] == [Digest.of(old) for old in olds]
        return target.read_bytes()


def payload_with_deltas(
    wanted: Mapping[str, TestImage],
    deltas: Deltas,
    already: Mapping[str, TestImage] | None = None,
    repositories: Sequence[str] = ("app",),
    contents_of_deltas: Mapping[bytes, bytes] | None = None,
) -> bytes:
    """Make a payload that carries some layers as deltas; all bases are in ``repositories``.

    ``contents_of_deltas`` are carried in the place of the right deltas.
    """
    contents = plan_make(
        [named(name, image) for name, image in wanted.items()],
        [named(name, image) for name, image in (already or {}).items()],
    )
    given = contents_of_deltas or {}
    carried = {
        Digest.of(new): given[new] if new in given else delta_of(new, tuple(olds))
        for new, olds in deltas.items()
    }
    contents = replace(
        contents,
        blobs={b: name for b, name in contents.blobs.items() if b.digest not in carried},
        deltas={
            Digest.of(new): LayerDelta(
                len(carried[Digest.of(new)]),
                {Digest.of(old): Base(len(old), tuple(repositories)) for old in olds},
            )
            for new, olds in deltas.items()
        },
    )
    blobs = {key: value for image in wanted.values() for key, value in image.contents().items()}

    @contextmanager
    def fetch(blob: Descriptor, _: str, start: int) -> Iterator[io.BytesIO]:
        yield io.BytesIO(blobs[blob.digest][start:])

    documents = list(itertools.islice(payload_entries(contents), 3))
    others = list(payload_entries(replace(contents, deltas={})))[3:]
    manifests = [entry for entry in others if entry.blob is None]
    whole = [entry for entry in others if entry.blob is not None]
    differences = [
        Entry(delta_path(digest), len(delta), delta) for digest, delta in carried.items()
    ]
    entries = [*documents, *manifests, *differences, *whole]
    target = io.BytesIO()
    write_payload(target, entries, fetch)
    return target.getvalue()


def release(number: int) -> TestImage:
    """Return an image of a version: a layer that never changes, and one that does."""
    return image(version(0, "base"), version(number))


def update(number: int, name: str = "app") -> bytes:
    """Return a payload that brings a version of an image as its difference to the one before."""
    return payload_with_deltas(
        {f"{name}:{number}": release(number)},
        {version(number): [version(number - 1)]},
        {f"{name}:{number - 1}": release(number - 1)},
        [name],
    )
