"""Small files that expand to large ones: memory stays below 200 MB."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from docker_charon import verify_payload
from docker_charon.errors import PayloadError
from docker_charon.payload.archives import archive
from docker_charon.payload.format import limits
from docker_charon.payload.format.entries import payload_entries
from docker_charon.payload.format.limits import LONGEST_DOCUMENT, MOST_ENTRIES
from docker_charon.payload.format.paths import DESCRIPTOR_PATH, INDEX_PATH
from docker_charon.payload.reader import open_payload
from docker_charon.transfer.plan import plan_make
from fuzz.process import MOST_MEMORY, run
from images import TestImage, digest_of, image, index, layer
from payloads import named, payload_of, unzipped, zipped

_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_LOCAL = struct.Struct("<4s5H3L2H")


def deflated(entries: dict[str, bytes]) -> bytes:
    return zipped(entries, [zipfile.ZIP_DEFLATED])


def descriptor(images: dict[str, Any], blobs: dict[str, Any] | None = None) -> bytes:
    return json.dumps({"manifests_paths": images, "blobs_paths": blobs or {}}).encode()


def manifest(layers: int, seed: int = 0) -> bytes:
    """Return a manifest as short as it can be for so many layers, no two of them the same."""
    parts = (
        '{"mediaType":"a","digest":"sha256:%064x","size":9}' % (seed * 100_000 + n)
        for n in range(layers + 1)
    )
    return f'{{"schemaVersion":2,"config":{next(parts)},"layers":[{",".join(parts)}]}}'.encode()


def objects(size: int) -> bytes:
    return b'{"x":[' + b"{}," * (size // 3) + b"0]}"


def directory(count: int) -> bytes:
    """Return a zip that is all directory, of entries that are nowhere."""
    line = _CENTRAL.pack(b"PK\1\2", 20, 20, 0, 0, 0, 33, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"a"
    size = count * len(line)
    return line * count + _END.pack(b"PK\5\6", 0, 0, count % 65536, count % 65536, size, 0, 0)


def overlapping(count: int, size: int) -> bytes:
    """Return a zip whose entries all end where the last one does."""
    names = [b"blobs/%05d" % n for n in range(count)]
    body, lines = b"", b""
    whole = size + count * (_LOCAL.size + len(names[0]))
    for name in names:
        left = whole - len(body) - _LOCAL.size - len(name)
        lines += (
            _CENTRAL.pack(
                b"PK\1\2", 20, 20, 0, 0, 0, 33, 0, left, left, len(name), 0, 0, 0, 0, 0, len(body)
            )
            + name
        )
        body += _LOCAL.pack(b"PK\3\4", 20, 0, 0, 0, 33, 0, left, left, len(name), 0) + name
    body += bytes(size)
    return body + lines + _END.pack(b"PK\5\6", 0, 0, count, count, len(lines), len(body), 0)


def chain(length: int) -> bytes:
    """Return a payload of an index in an index in an index."""
    bottom = image(b"")
    entries = {f"blobs/{digest_of(blob)}": blob for blob in bottom.blobs}
    places = {digest_of(blob): {"zip_path": f"blobs/{digest_of(blob)}"} for blob in bottom.blobs}
    top = bottom
    for _ in range(length):
        entries["blobs/" + top.digest.replace(":", "/")] = top.manifest
        top = index(TestImage(top.manifest, top.media_type))
    return zipped(
        {DESCRIPTOR_PATH: descriptor({"deep:1": "top"}, places), "top": top.manifest, **entries}
    )


TOO_LARGE = "the payload is too large"
ASTRAL = b'{"manifests":[],"x":"\xf0\x9f\x98\x80' + b"a" * (LONGEST_DOCUMENT - 100) + b'"}'
EMPTY = b'{"format_version":1,"manifests_paths":{},"blobs_paths":{}}'
BOMBS: dict[str, tuple[Callable[[], bytes], str]] = {
    "60 MB of objects in the descriptor": (
        lambda: deflated({DESCRIPTOR_PATH: objects(60_000_000)}),
        "payload_descriptor.json is too large",
    ),
    "12 MB of objects in the descriptor": (
        lambda: deflated({DESCRIPTOR_PATH: objects(LONGEST_DOCUMENT - 100)}),
        "more than 250,000 values",
    ),
    "as many values as there may be": (
        lambda: deflated({DESCRIPTOR_PATH: b'{"x":[' + b'{"":0},' * 124_990 + b"0]}"}),
        "is malformed",
    ),
    "four bytes a character": (
        lambda: deflated({DESCRIPTOR_PATH: EMPTY, INDEX_PATH: ASTRAL}),
        "",
    ),
    "a manifest of objects": (
        lambda: deflated({DESCRIPTOR_PATH: descriptor({"a": "m"}), "m": objects(4_000_000)}),
        "more than 250,000 values",
    ),
    "500 names of one manifest": (
        lambda: deflated(
            {DESCRIPTOR_PATH: descriptor({f"a{n}": "m" for n in range(500)}), "m": manifest(36_000)}
        ),
        TOO_LARGE,
    ),
    "as many manifests as there may be": (
        lambda: deflated(
            {
                DESCRIPTOR_PATH: json.dumps({f"a{n}": f"m{n}" for n in range(4)}).encode(),
                **{f"m{n}": manifest(36_000, n) for n in range(4)},
            }
        ),
        "",
    ),
    "60 manifests": (
        lambda: deflated(
            {
                DESCRIPTOR_PATH: descriptor({f"a{n}": f"m{n}" for n in range(60)}),
                **{f"m{n}": manifest(36_000, n) for n in range(60)},
            }
        ),
        TOO_LARGE,
    ),
    "very many images": (
        lambda: deflated({DESCRIPTOR_PATH: descriptor({f"{n:x}": None for n in range(44_000)})}),
        "",
    ),
    "too many images": (
        lambda: deflated({DESCRIPTOR_PATH: descriptor({f"{n:x}": None for n in range(200_000)})}),
        TOO_LARGE,
    ),
    "very many places": (
        lambda: deflated(
            {
                DESCRIPTOR_PATH: descriptor(
                    {"a": None}, {f"sha256:{n:064x}": {"repository": "x"} for n in range(100_000)}
                )
            }
        ),
        "",
    ),
    "an entry a line": (lambda: directory(MOST_ENTRIES), "two entries"),
    "a few entries too many": (
        lambda: directory(MOST_ENTRIES + 1),
        "more than 100,000 entries",
    ),
    "a million entries": (lambda: directory(1_000_000), "more than 100,000 entries"),
    "entries that share their bytes": (
        lambda: overlapping(20_000, 10_000_000),
        "overlaps another entry",
    ),
    "a thousand nested indexes": (lambda: chain(1000), ""),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_does_not_go_off(bomb: str, tmp_path: Path) -> None:
    content, said = BOMBS[bomb]
    path = tmp_path / "bomb.zip"
    path.write_bytes(content())
    found = run(path)
    assert found["peak"] < MOST_MEMORY
    if said:
        assert all(said in end or "finding" in end for end in found["last"])
        assert any(said in end for end in found["last"])
    else:
        assert found["last"][0] == "whole"


def test_every_entry_at_a_wrong_place_is_reported_once_and_none_is_read(tmp_path: Path) -> None:
    path = tmp_path / "bomb.zip"
    path.write_bytes(overlapping(50, 1000))
    findings = [finding for finding in verify_payload(path) if "blobs/" in finding]
    inside = [finding for finding in findings if finding.endswith("overlaps another entry")]
    assert len(inside) == 49
    assert findings[:49] == inside
    assert len(findings) == 50  # the first is read, and its checksum is wrong


def test_a_long_entry_hides_none_of_those_that_it_overlaps(tmp_path: Path) -> None:
    """The first ends behind the third, whatever stands between them."""
    content = bytearray(overlapping(3, 1000))
    second = content.index(b"PK\1\2") + _CENTRAL.size + len(b"blobs/00000")
    content[second + 20 : second + 28] = bytes(8)  # its two sizes
    path = tmp_path / "bomb.zip"
    path.write_bytes(content)
    findings = verify_payload(path)
    for name in ("blobs/00001", "blobs/00002"):
        assert f"the entry {name} of the payload overlaps another entry" in findings


def test_a_large_payload_of_an_honest_maker_opens(tmp_path: Path) -> None:
    """2,000 indexes with an image of ten layers each: 26,000 entries."""
    path = tmp_path / "large.zip"
    path.write_bytes(
        payload_of(
            {
                f"team/service-{n}:1.0": index(image(*(layer(10 * n + m, 1) for m in range(10))))
                for n in range(2000)
            }
        )
    )
    found = run(path)
    assert found["last"] == ["whole", "2000 images", "2000 pushed"]
    assert found["peak"] < MOST_MEMORY


def test_what_could_not_be_opened_again_is_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_make([named("app:1", image(layer(1)))], [])
    assert len(list(payload_entries(plan))) == 6
    for limit in ("MOST_ENTRIES", "LONGEST_DOCUMENT", "MOST_VALUES"):
        with monkeypatch.context() as patched:
            patched.setattr(f"docker_charon.payload.format.entries.{limit}", 4)
            with pytest.raises(PayloadError, match=r"too large.*; make several payloads"):
                list(payload_entries(plan))
    monkeypatch.setattr(limits, "_MEMORY", 6000)
    with pytest.raises(PayloadError, match=r"too large.*; make several payloads"):
        list(payload_entries(plan))


def test_a_manifest_is_read_once_for_all_its_names(monkeypatch: pytest.MonkeyPatch) -> None:
    content = payload_of({f"app:{n}": image(layer(1)) for n in range(50)})
    entries = unzipped(content)
    read: list[str] = []
    real = archive.Archive.read

    def counting(self: archive.Archive, info: zipfile.ZipInfo, longest: int) -> bytes:
        read.append(info.filename)
        return real(self, info, longest)

    monkeypatch.setattr(archive.Archive, "read", counting)
    path_of_manifest = f"blobs/{digest_of(image(layer(1)).manifest).replace(':', '/')}"
    assert path_of_manifest in entries
    with open_payload(io.BytesIO(content)) as opened:
        assert len(opened.images) == 50
    assert read.count(path_of_manifest) == 1
