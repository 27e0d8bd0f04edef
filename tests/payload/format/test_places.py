"""The places of entries: they follow each other, and nothing has to be fetched to know them."""

from __future__ import annotations

import io
import zipfile

from docker_charon.oci.descriptor import Descriptor
from docker_charon.oci.digest import Digest
from docker_charon.payload.format.entries import Entry
from docker_charon.payload.format.places import Places

DOCUMENT = Entry("index.json", 2, b"{}")
BLOBS = [
    Entry(f"blobs/{n}", size, blob=Descriptor("", Digest.of(b"%d" % n), size), repository="app")
    for n, size in enumerate((5, 0, 300))
]


def test_the_blobs_follow_what_comes_before_them() -> None:
    places = Places([DOCUMENT, *BLOBS])
    offsets = [place.record.offset for place in places.blobs]
    ends = [place.record.end for place in places.blobs]
    assert offsets == [len(places.front), *ends[:-1]]
    assert places.end == ends[-1]
    assert places.front.endswith(DOCUMENT.content)


def test_a_streamed_payload_has_room_for_checksums_behind_the_blobs() -> None:
    streamed, seekable = Places([DOCUMENT, *BLOBS], streamed=True), Places([DOCUMENT, *BLOBS])
    assert streamed.front == seekable.front
    assert streamed.size > seekable.size


def test_the_directory_lists_all_entries_with_their_checksums() -> None:
    places = Places([DOCUMENT, *BLOBS])
    directory = places.directory({"blobs/0": 7})
    assert places.size == places.end + len(directory)
    content = places.front.ljust(places.end, b"\0") + directory
    with zipfile.ZipFile(io.BytesIO(content)) as opened:
        assert opened.read("index.json") == b"{}"
        assert [info.filename for info in opened.infolist()] == [
            entry.path for entry in (DOCUMENT, *BLOBS)
        ]
        assert opened.getinfo("blobs/0").CRC == 7
