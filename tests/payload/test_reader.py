"""Reading payloads: current and older ones, complete, damaged and cut short."""

from __future__ import annotations

import errno
import io
import json
import os
import tempfile
import threading
import zipfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from docker_charon.errors import DigestMismatch, DockerCharonError, PayloadError
from docker_charon.oci.descriptor import Body
from docker_charon.oci.digest import Digest
from docker_charon.payload.format.paths import DESCRIPTOR_PATH, INDEX_PATH
from docker_charon.payload.reader import open_payload
from docker_charon.payload.verify import verify_payload
from images import TestImage, digest_of, image, index, layer
from payloads import edited, older_payload, path_of, payload_of, unzipped, with_json, zipped

BASE = image(layer(1))
APP = image(layer(1), layer(2, 1_500_000), b"")
BOTH = index(APP, BASE)
SMALL = image(layer(1, 1))
L1 = Digest.of(layer(1))
STORED, DEFLATED = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED
KINDS = pytest.mark.parametrize(
    "kind", [[STORED], [DEFLATED], [STORED, DEFLATED]], ids=["stored", "deflated", "both"]
)


def whole(body: Body) -> bytes:
    content = bytearray()
    for chunk in body:  # each is valid until the next one is asked for
        content += chunk
    return bytes(content)


def read(content: bytes) -> dict[str, bytes]:
    """Return every carried blob of every image."""
    with open_payload(io.BytesIO(content)) as opened:
        blobs = {blob.digest: blob for image in opened.images for blob in image.image.blobs}
        return {
            digest: whole(opened.body(blob))
            for digest, blob in blobs.items()
            if digest in opened.carried
        }


def blobs_of(*wanted: TestImage) -> dict[str, bytes]:
    return {digest_of(blob): blob for one in wanted for blob in one.blobs}


def problem(content: bytes) -> str:
    """Return what is said of a payload that cannot be right."""
    with pytest.raises((PayloadError, DigestMismatch)) as raised:
        read(content)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def named_outside(one: TestImage) -> bytes:
    return json.dumps({"../x": path_of(one.manifest)}).encode()


WHOLE = payload_of({"app:1": APP, "lib/both": BOTH})


@KINDS
def test_what_was_written_is_read(kind: Sequence[int]) -> None:
    content = zipped(unzipped(WHOLE), kind)
    with open_payload(io.BytesIO(content)) as opened:
        assert opened.names == ("app:1", "lib/both")
        assert [image.image.root.content for image in opened.images] == [
            APP.manifest,
            BOTH.manifest,
        ]
        assert [image.reference.repository for image in opened.images] == ["app", "lib/both"]
        assert opened.skipped == ()
        assert opened.at_destination == {}
        assert opened.carried == set(blobs_of(APP, BASE))
    assert read(content) == read(WHOLE) == blobs_of(APP, BASE)


def test_a_delta_tells_what_it_expects_and_where() -> None:
    delta = payload_of({"app:1": APP, "base:1": BASE}, {"base:1": BASE})
    with open_payload(io.BytesIO(delta)) as opened:
        assert opened.names == ("app:1", "base:1")
        assert [image.name for image in opened.images] == ["app:1"]
        [skipped] = opened.skipped
        assert skipped.name == "base:1"
        assert skipped.image is not None
        assert skipped.image.root.content == BASE.manifest
        assert opened.at_destination[L1] == ("base",)
        assert L1 not in opened.carried
    assert read(delta).keys() == blobs_of(APP).keys() - blobs_of(BASE).keys()


def test_what_is_delivered_is_in_its_own_repository_and_where_it_was_before() -> None:
    with open_payload(io.BytesIO(payload_of({"app:1": APP}, {"base:1": BASE}))) as opened:
        delivered = list(opened.delivered())
    assert [repository for digest, repository in delivered if digest == L1] == ["app", "base"]
    assert {digest for digest, _ in delivered} == blobs_of(APP).keys()


def test_a_payload_of_04_is_read() -> None:
    content = older_payload({"lib/app:1": APP, "base:1": None}, {L1: "base"}, "0.4")
    with open_payload(io.BytesIO(content)) as opened:
        assert opened.names == ("lib/app:1", "base:1")
        assert [image.image.root.content for image in opened.images] == [APP.manifest]
        assert [(image.name, image.image) for image in opened.skipped] == [("base:1", None)]
        assert opened.at_destination == {L1: ("base",)}
    assert read(content).keys() == blobs_of(APP).keys() - {L1}


def test_a_payload_of_01_is_read_and_what_it_lacks_may_be_anywhere() -> None:
    content = older_payload({"lib/app:1": APP, "base:1": BASE}, {L1: "base"}, "0.1")
    with open_payload(io.BytesIO(content)) as opened:
        assert [image.name for image in opened.images] == ["lib/app:1", "base:1"]
        assert opened.skipped == ()
        assert L1 not in opened.carried
        assert opened.at_destination[L1] == ("lib/app", "base")
    assert read(content).keys() == blobs_of(APP, BASE).keys() - {L1}


@pytest.mark.parametrize("release", ["0.1", "0.4"])
def test_a_damaged_older_payload_is_refused(release: str) -> None:
    content = older_payload({"app:1": APP}, {}, release)
    assert "manifests/app:1" in problem(edited(content, {"manifests/app:1": None}))
    assert "manifest of app:1" in problem(edited(content, {"manifests/app:1": b"<html>"}))
    assert "bytes where" in problem(edited(content, {f"blobs/{L1}": b"short"}))
    assert f"damaged: {L1}" in problem(edited(content, {f"blobs/{L1}": layer(1)[:-1] + b"!"}))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({DESCRIPTOR_PATH: None}, "is not a payload: it has no payload_descriptor.json"),
        ({INDEX_PATH: None}, "it has no index.json"),
        ({DESCRIPTOR_PATH: b"{"}, "payload_descriptor.json is not valid JSON"),
        ({DESCRIPTOR_PATH: b"[]"}, "payload_descriptor.json is not a JSON object"),
        ({DESCRIPTOR_PATH: named_outside(APP)}, "payload_descriptor.json is malformed"),
        ({INDEX_PATH: b"[]"}, "index.json is not a JSON object"),
        ({INDEX_PATH: b'{"manifests": []}'}, "name different images"),
        ({path_of(BASE.manifest): None}, path_of(BASE.manifest)),
        ({path_of(BOTH.manifest): None}, path_of(BOTH.manifest)),
        ({path_of(APP.manifest): APP.manifest[:-1] + b" "}, "damaged: a manifest of app:1"),
        ({path_of(APP.manifest): b""}, "damaged: a manifest of app:1"),
        ({path_of(APP.manifest): bytes(5 * 1024**2)}, "is too large"),
        ({path_of(layer(1)): None}, path_of(layer(1))),
        ({path_of(layer(1)): layer(1)[1:]}, "bytes where the manifest of app:1 says"),
        ({path_of(layer(1)): layer(1)[:-1] + b"!"}, f"the payload is damaged: {L1} is"),
    ],
)
def test_what_is_missing_or_wrong_is_reported(changes: dict[str, bytes | None], said: str) -> None:
    assert said in problem(edited(WHOLE, changes))


@pytest.mark.parametrize(
    ("path", "change", "said"),
    [
        (DESCRIPTOR_PATH, lambda d: d.update(format_version=3), "a newer one"),
        (DESCRIPTOR_PATH, lambda d: d["manifests_paths"].pop("app:1"), "name different images"),
        (DESCRIPTOR_PATH, lambda d: d["blobs_paths"].pop(L1), L1),
        (DESCRIPTOR_PATH, lambda d: d["blobs_paths"].update({L1: 1}), "is malformed"),
        (DESCRIPTOR_PATH, lambda d: d["blobs_paths"].update({L1: {"zip_path": "x"}}), "incomplete"),
        (INDEX_PATH, lambda d: d["manifests"].pop(), "name different images"),
        (INDEX_PATH, lambda d: d["manifests"][0].update(size=1), "damaged: a manifest of app:1"),
        (INDEX_PATH, lambda d: d["manifests"][0].pop("digest"), "index.json is malformed"),
    ],
)
def test_documents_that_contradict_each_other_are_reported(
    path: str, change: Callable[[Any], object], said: str
) -> None:
    assert said in problem(with_json(WHOLE, path, change))


def test_the_content_of_a_name_with_a_digest_has_that_digest() -> None:
    for digest in (APP.digest, Digest.of(APP.manifest, "sha512")):
        assert read(payload_of({f"app:1@{digest}": APP})) == blobs_of(APP)
    other = Digest.of(b"")
    part_of_other = payload_of({f"app:1@{other}": APP})
    assert read(part_of_other) == blobs_of(APP)
    said = problem(with_json(part_of_other, DESCRIPTOR_PATH, lambda d: d.pop("narrowed")))
    assert APP.digest in said
    assert f"app:1@{other}" in said
    said = problem(with_json(WHOLE, DESCRIPTOR_PATH, lambda d: d.update(narrowed=[1])))
    assert "is not a string" in said


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_entry_that_is_there_twice_is_refused() -> None:
    content = io.BytesIO(WHOLE)
    with zipfile.ZipFile(content, "a") as archive:
        archive.writestr(path_of(layer(1)), b"another one")
    said = problem(content.getvalue())
    assert path_of(layer(1)) in said
    assert "two entries" in said


@pytest.mark.parametrize("name", ["a\nb", "a\x1b[2Jb"])
@pytest.mark.parametrize("paths", [lambda name: {"app:1": name}, lambda name: {name: "x"}])
def test_names_in_a_payload_cannot_break_the_line_that_names_them(
    name: str, paths: Callable[[str], dict[str, str]]
) -> None:
    assert problem(zipped({DESCRIPTOR_PATH: json.dumps(paths(name)).encode()})).isprintable()


def test_a_payload_that_was_cut_anywhere_is_refused() -> None:
    content = payload_of({"app": SMALL})
    for length in range(0, len(content), 7):
        assert "is not a payload, or was cut short" in problem(content[:length])


def test_a_byte_that_was_flipped_anywhere_does_no_harm_or_is_reported() -> None:
    content, right = payload_of({"app": SMALL}), blobs_of(SMALL)
    refused = 0
    for place in range(len(content)):
        for flipped in (content[place] ^ 0x01, content[place] ^ 0x0E, content[place] ^ 0xFF):
            damaged = content[:place] + bytes([flipped]) + content[place + 1 :]
            try:
                assert read(damaged) == right
            except DockerCharonError:
                refused += 1
    assert refused > len(content) // 2


@pytest.mark.parametrize("content", [b"", b"PK", b"\0" * 10_000, b"<html>", zipped({})])
def test_a_file_that_is_not_a_payload_is_refused(content: bytes) -> None:
    assert "not a payload" in problem(content)


def test_a_payload_after_other_bytes_is_read() -> None:
    assert read(b"something before it" + WHOLE) == read(WHOLE)


def test_a_body_knows_its_length_and_can_be_read_again() -> None:
    with open_payload(io.BytesIO(WHOLE)) as opened:
        for blob in opened.images[0].image.blobs:
            body = opened.body(blob)
            assert len(body) == blob.size
            assert whole(body) == whole(body) == blobs_of(APP)[blob.digest]


@KINDS
def test_bodies_are_read_in_parallel(kind: Sequence[int]) -> None:
    with open_payload(io.BytesIO(zipped(unzipped(WHOLE), kind))) as opened:
        bodies = [opened.body(blob) for blob in opened.images[0].image.blobs] * 8
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda body: digest_of(whole(body)), bodies))
    assert found == [blob.digest for blob in opened.images[0].image.blobs] * 8


@KINDS
def test_a_body_can_be_begun_again_while_an_earlier_reading_is_unfinished(
    kind: Sequence[int],
) -> None:
    found = []

    def begin_twice() -> None:
        with open_payload(io.BytesIO(zipped(unzipped(WHOLE), kind))) as opened:
            body = opened.body(opened.images[0].image.blobs[2])
            unfinished = iter(body)
            next(unfinished)
            found.append(digest_of(whole(body)))

    thread = threading.Thread(target=begin_twice, daemon=True)
    thread.start()
    thread.join(5)
    assert found == [digest_of(layer(2, 1_500_000))]


class ReadOnly:
    """What can be read once, from its start to its end."""

    def __init__(self, content: bytes) -> None:
        self.read = io.BytesIO(content).read


def test_a_file_that_cannot_seek_is_read_too() -> None:
    with open_payload(ReadOnly(WHOLE)) as opened:
        assert opened.names == ("app:1", "lib/both")
        assert whole(opened.body(opened.images[0].image.blobs[1])) == layer(1)


def test_a_machine_without_a_place_for_temporary_files_is_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def nowhere() -> str:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr(tempfile, "gettempdir", nowhere)
    with (
        pytest.raises(PayloadError, match="cannot copy the file: No usable temporary"),
        open_payload(ReadOnly(WHOLE)),
    ):
        pass


@pytest.mark.posix
def test_a_pipe_is_read_by_its_path(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)

    def write() -> None:
        with suppress(BrokenPipeError):
            fifo.write_bytes(WHOLE)

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    with open_payload(fifo) as opened:
        assert whole(opened.body(opened.images[0].image.blobs[1])) == layer(1)
    writer.join(10)


@pytest.mark.parametrize("words", [Path, str])
def test_a_path_is_read(tmp_path: Path, words: Callable[[Path], Path | str]) -> None:
    (tmp_path / "payload.zip").write_bytes(WHOLE)
    with open_payload(words(tmp_path / "payload.zip")) as opened:
        assert opened.names == ("app:1", "lib/both")


def test_a_file_object_is_left_open() -> None:
    file = io.BytesIO(WHOLE)
    with open_payload(file):
        pass
    assert not file.closed


@pytest.mark.parametrize("path", ["missing.zip", "missing/payload.zip", ".", "nul\0l.zip"])
def test_a_path_that_cannot_be_read_is_reported(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    problem = "is not a payload" if path == "." else "cannot read"
    with pytest.raises(PayloadError, match=problem), open_payload(path):
        pass


def test_a_closed_file_is_reported() -> None:
    file = io.BytesIO(WHOLE)
    file.close()
    with pytest.raises(PayloadError), open_payload(file):
        pass


@pytest.mark.parametrize("source", [io.StringIO(), None, 1, WHOLE])
def test_an_object_that_gives_no_bytes_is_a_type_error(source: Any) -> None:
    with pytest.raises(TypeError, match="opened for reading bytes"), open_payload(source):
        pass


@pytest.mark.parametrize("prefix", ["./", "././"])
def test_names_may_begin_with_a_dot_and_a_slash(prefix: str) -> None:
    content = payload_of({"app:1": APP, "base:1": BASE})
    entries = {f"{prefix}{path}": value for path, value in unzipped(content).items()}
    content = zipped({prefix: b"", **entries}, (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    assert read(content).keys() == blobs_of(APP, BASE).keys()
    assert verify_payload(io.BytesIO(content)) == []


def test_names_may_have_backslashes_as_some_programs_write_on_windows() -> None:
    content = payload_of({"app:1": APP})
    entries = {path.replace("/", "\\"): value for path, value in unzipped(content).items()}
    content = zipped(entries, (zipfile.ZIP_DEFLATED,))
    assert read(content).keys() == blobs_of(APP).keys()
    assert verify_payload(io.BytesIO(content)) == []
    outside = zipped({**entries, "..\\..\\x": b""})
    assert "could lead outside" in problem(outside)


def test_a_name_with_and_without_a_dot_is_there_twice() -> None:
    content = payload_of({"app:1": APP})
    entries = {**unzipped(content), f"./{DESCRIPTOR_PATH}": b"{}"}
    assert f"two entries {DESCRIPTOR_PATH}" in problem(zipped(entries))


def test_a_file_that_is_cut_while_it_is_open_is_told(tmp_path: Path) -> None:
    """A medium may be removed, or a copy may start again."""
    file = tmp_path / "p.zip"
    file.write_bytes(payload_of({"app:1": image(layer(1, 50_000), layer(2, 50_000))}))
    problems = []
    with open_payload(file) as payload:
        os.truncate(file, 100)
        for blob in payload.images[0].blobs:
            try:
                b"".join(payload.body(blob))
            except (PayloadError, DigestMismatch) as error:
                problems.append(str(error))
    assert any("shorter than it was when it was opened; copy it" in text for text in problems)
