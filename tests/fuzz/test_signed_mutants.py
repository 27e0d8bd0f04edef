"""Mutants of signed payloads, the same in every run; ``FUZZ_SIGNED=20000`` tries more of them."""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from conftest import require
from docker_charon import PayloadError
from docker_charon.payload.reader import Payload, open_payload
from docker_charon.payload.signature.signature import sign
from images import OCI, artifact, image, index, layer
from payloads import payload_of, unzipped, zipped
from signers import allow, make_key

MUTANTS = int(os.environ.get("FUZZ_SIGNED", "300"))
SIGNED = ["index.json", "oci-layout", "payload_descriptor.json", "signature"]

BASE = image(layer(1, 40))
IMAGES = {
    "app:1": image(layer(1, 40), layer(2, 300)),
    "lib/both": index(image(layer(3, 20), media_type=OCI), BASE),
    "thing:x": artifact(b"a thing"),
}

Entries = dict[str, bytes]
Chance = random.Random


@dataclass(frozen=True)
class Signed:
    """A payload that alice signed, others' signatures, and the file that allows alice only."""

    content: bytes
    foreign_signatures: list[bytes]
    allowed: Path

    @property
    def entries(self) -> Entries:
        return unzipped(self.content)


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Signed:
    require(shutil.which("ssh-keygen") is not None, "ssh-keygen")
    folder = tmp_path_factory.mktemp("signers")
    by = {name: partial(sign, key=make_key(folder, name)) for name in ("alice", "mallory")}
    already = {"base:1": BASE}
    others = [
        unzipped(payload_of({"app:1": BASE}, sign=by["alice"])),
        unzipped(payload_of({**IMAGES, **already}, already, by["mallory"])),
    ]
    return Signed(
        payload_of({**IMAGES, **already}, already, by["alice"]),
        [entries["signature"] for entries in others],
        allow(folder / "allowed", folder / "alice"),
    )


def flip_bit(entries: Entries, chance: Chance) -> None:
    path = chance.choice(SIGNED)
    changed = bytearray(entries[path])
    changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    entries[path] = bytes(changed)


def change_length(entries: Entries, chance: Chance) -> None:
    path = chance.choice(SIGNED)
    content = entries[path]
    at = chance.randrange(len(content) + 1)
    extra = chance.choice([b" ", b"\n", b"\0", content[:at], b"=="])
    entries[path] = chance.choice([content[:at], content[:at] + extra + content[at:]])


def swap_contents(entries: Entries, chance: Chance) -> None:
    one, other = chance.sample(SIGNED, 2)
    entries[one], entries[other] = entries[other], entries[one]


def remove(entries: Entries, chance: Chance) -> None:
    del entries[chance.choice(SIGNED)]


def add_document(entries: Entries, chance: Chance) -> None:
    path = chance.choice(["ledger", "INDEX.JSON", "index.json ", "x/y", "index.json\nx", "Blobs/x"])
    entries[path] = chance.choice([b"", b"{}", entries["index.json"]])


def rename(entries: Entries, chance: Chance) -> None:
    path = chance.choice(SIGNED)
    entries[path + chance.choice(["x", " ", "/"])] = entries.pop(path)


def change_json(entries: Entries, chance: Chance) -> None:
    """Change a value somewhere in a document, and write it as the writer does."""
    path = chance.choice(["index.json", "payload_descriptor.json"])
    document = json.loads(entries[path])
    place: Any = document
    while True:
        key = chance.choice(list(place) if isinstance(place, dict) else range(len(place)))
        if not isinstance(place[key], (dict, list)) or not place[key] or chance.random() < 0.2:
            break
        place = place[key]
    if chance.random() < 0.3:
        del place[key]
    else:
        place[key] = chance.choice([None, 1, "x", [], {}, "sha256:" + "0" * 64])
    entries[path] = json.dumps(document, separators=(",", ":")).encode()


def write_json_differently(entries: Entries, chance: Chance) -> None:
    path = chance.choice(["index.json", "oci-layout", "payload_descriptor.json"])
    entries[path] = json.dumps(json.loads(entries[path]), indent=chance.choice([0, 1, 2])).encode()


def change_names(entries: Entries, chance: Chance) -> None:
    """Rename an image wherever it is named, consistently."""
    name = chance.choice([*IMAGES, "base:1"]).encode()
    for path in ("index.json", "payload_descriptor.json"):
        entries[path] = entries[path].replace(name, b"evil:1")


CHANGES: list[Callable[[Entries, Chance], None]] = [
    flip_bit,
    change_length,
    swap_contents,
    remove,
    add_document,
    rename,
    change_json,
    write_json_differently,
    change_names,
]


def believed(payload: Payload) -> Any:
    """Return all that a push believes of a payload."""
    return (
        payload.names,
        [(image.name, [m.content for m in image.manifests]) for image in payload.images],
        [(image.name, image.image and image.image.root.digest) for image in payload.skipped],
        payload.carried,
        dict(payload.at_destination),
        payload.non_distributable,
    )


def end_of(content: bytes, allowed: Path, right: Any) -> str:
    try:
        with open_payload(io.BytesIO(content), allowed_signers=allowed) as payload:
            assert payload.signer == "alice@example.com"
            return "right" if believed(payload) == right else "wrong"
    except PayloadError:
        return "refused"


@pytest.fixture(scope="module")
def right(signed: Signed) -> Any:
    with open_payload(io.BytesIO(signed.content), allowed_signers=signed.allowed) as payload:
        return believed(payload)


def test_no_change_of_what_is_signed_is_believed(signed: Signed, right: Any) -> None:
    ends: Counter[tuple[str, str]] = Counter()
    for seed in range(MUTANTS):
        chance = random.Random(seed)  # noqa: S311  # repeatable on purpose
        change = CHANGES[seed % len(CHANGES)]
        entries = signed.entries
        change(entries, chance)
        if entries == signed.entries:
            continue
        if chance.random() < 0.2:
            entries["signature"] = chance.choice(signed.foreign_signatures)
        end = end_of(zipped(entries), signed.allowed, right)
        assert end == "refused", f"seed {seed}: {change.__name__}"
        ends[change.__name__, end] += 1
    assert len(ends) == len(CHANGES)


def test_no_damage_of_the_zip_changes_what_is_believed(signed: Signed, right: Any) -> None:
    """Bytes that say nothing, such as times, may change; what is then read is what was signed."""
    ends: Counter[str] = Counter()
    first_blob = signed.content.index(b"blobs/") - 30
    directory = signed.content.index(b"PK\1\2")
    for seed in range(MUTANTS):
        chance = random.Random(seed)  # noqa: S311  # repeatable on purpose
        changed = bytearray(signed.content)
        for _ in range(chance.choice([1, 1, 2, 5])):
            place = chance.choice([range(first_blob), range(directory, len(changed))])
            changed[chance.choice(place)] = chance.randrange(256)
        ends[end_of(bytes(changed), signed.allowed, right)] += 1
    assert ends.keys() <= {"refused", "right"}
    assert ends["refused"] > ends["right"] > 0


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("path", SIGNED)
def test_a_second_entry_of_the_same_name_is_refused(signed: Signed, right: Any, path: str) -> None:
    for first in (True, False):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            for name, content in signed.entries.items():
                other = content.replace(b"app:1", b"app:2") + b" "
                contents = [other, content] if first else [content, other]
                for written in contents if name == path else [content]:
                    archive.writestr(name, written)
        assert end_of(file.getvalue(), signed.allowed, right) == "refused"
