"""Mutants of payloads: the same seed always gives the same mutant.

Some are what a bad disk makes of a payload, and some what somebody makes who knows the format: zip
records that lie, documents with other values in them and every checksum right.
"""

from __future__ import annotations

import io
import json
import random
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from images import OCI, TestImage, artifact, digest_of, image, index, layer
from payloads import older_payload, payload_of, unzipped, zipped

BASE = image(layer(1, 40))
APP = image(layer(1, 40), layer(2, 300), b"")
BOTH = index(image(layer(3, 20), media_type=OCI), BASE)
THING = artifact(b"a thing")
DIGEST = digest_of(layer(1, 40))

_WHOLE = {"app:1": APP, "lib/both": BOTH, "thing:x": THING}


@dataclass(frozen=True)
class Sound:
    """A payload as it should be, and what the destination has before it comes."""

    content: bytes
    there: Mapping[str, TestImage]


def _streamed(entries: Mapping[str, bytes]) -> bytes:
    """Zip to where nobody can seek: checksums and sizes stand behind the data."""
    target = io.BytesIO()

    class Pipe(io.RawIOBase):
        def writable(self) -> bool:
            return True

        def write(self, data: Any) -> int:
            return target.write(data)

    with zipfile.ZipFile(Pipe(), "w") as archive:
        for path, content in entries.items():
            archive.writestr(path, content)
    return target.getvalue()


SOUND = [
    Sound(payload_of(_WHOLE), {}),
    Sound(payload_of({"app:1": APP, "base:1": BASE}, {"base:1": BASE}), {"base:1": BASE}),
    Sound(zipped(unzipped(payload_of(_WHOLE)), [zipfile.ZIP_DEFLATED]), {}),
    Sound(_streamed(unzipped(payload_of({"app:1": APP}))), {}),
    Sound(
        older_payload({"lib/app:1": APP, "base:1": None}, {DIGEST: "base"}, "0.4"), {"base:1": BASE}
    ),
    Sound(older_payload({"app:1": APP, "base:1": BASE}, {}, "0.1"), {}),
]
RIGHT = frozenset(one.manifest for top in (APP, BASE, BOTH, THING) for one in (top, *top.children))

ODD_NUMBERS = [0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 2**63, 2**64 - 1]
ODD_TEXTS = [
    "", " ", "a", "\0", "\n", "\x1b[2J", "\ud800", "\U0001f600", "٣", "é", "..", "../x", "/x",
    "a" * 300,
    "index.json", "payload_descriptor.json", "oci-layout", "blobs/", "blobs/sha256/", DIGEST,
    "sha256:", "sha512:" + "0" * 128, "app:1", "app", "APP", "app:1@" + DIGEST, "a/b/../c", OCI,
]  # fmt: skip
ODD_VALUES: list[Any] = [
    None, True, False, 0, -1, 1, 2, 2**31, 2**63, 10**4000, 1.5, float("nan"), float("inf"), [], {},
    [[]], [{}], [None], {"": {}}, {"a": 1},
]  # fmt: skip


def mutant(seed: int) -> tuple[Sound, bytes, bool]:
    """Return a sound payload, what became of it, and whether that was done by damage alone."""
    dice = random.Random(seed)  # noqa: S311  # repeatable on purpose
    sound = dice.choice(SOUND)
    if dice.random() < 0.6:
        return sound, _damaged(sound.content, dice), True
    entries = unzipped(sound.content)
    for _ in range(dice.choice([1, 1, 2, 3])):
        _forge(entries, dice)
    method = dice.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
    content = zipped(entries, [method])
    if dice.random() < 0.2:
        content = _damaged(content, dice)
    return sound, content, False


def _damaged(sound: bytes, dice: random.Random) -> bytes:
    content = bytearray(sound)
    for _ in range(dice.choice([1, 1, 1, 2, 4, 8])):
        place = _place(content, dice)
        size = min(dice.choice([1, 2, 4, 8, 30, 46, 200]), len(content) - place)
        match dice.randrange(9):
            case 0 | 1:
                content[place] ^= 1 << dice.randrange(8)
            case 2:
                content[place] = dice.randrange(256)
            case 3 | 4:
                width = dice.choice([1, 2, 4, 8])
                number = dice.choice([*ODD_NUMBERS, len(content), dice.getrandbits(64)])
                content[place : place + width] = (number % 256**width).to_bytes(width, "little")
            case 5:
                del content[place : place + size]
            case 6:
                content[place:place] = dice.choice([dice.randbytes(size), bytes(size)])
            case 7:
                other = _place(content, dice)
                content[other : other + size] = content[place : place + size]
            case _:
                match dice.randrange(3):
                    case 0:
                        del content[place:]
                    case 1:
                        content[:0] = dice.randbytes(size)
                    case _:
                        content += dice.randbytes(size)
        if not content:
            break
    return bytes(content)


def _place(content: bytearray, dice: random.Random) -> int:
    """Choose a byte: as often one of the zip's records, which are few, as any other."""
    signature = dice.choice([b"", b"", b"PK\1\2", b"PK\3\4", b"PK\5\6", b"PK\7\x08"])
    found = content.find(signature, dice.randrange(len(content))) if signature else -1
    if found == -1:
        return dice.randrange(len(content))
    return min(found + dice.randrange(46), len(content) - 1)


def _forge(entries: dict[str, bytes], dice: random.Random) -> None:
    """Change an entry, and sometimes everything that depends on its digest."""
    if not entries:
        return
    documents = [path for path, content in entries.items() if content[:1] == b"{"]
    path = dice.choice(documents if documents and dice.random() < 0.8 else list(entries))
    old_content = entries[path]
    match dice.randrange(8):
        case 0:
            del entries[path]
            return
        case 1:
            names = [text for text in ODD_TEXTS if text not in ("", "\0", "\ud800")]
            entries[dice.choice(names)] = entries.pop(path)
            return
        case 2:
            entries[path] = entries[dice.choice(list(entries))]
        case 3:
            entries[path] = _damaged(old_content, dice) if old_content else b"x"
        case _:
            entries[path] = other_values(old_content, dice)
    if dice.random() < 0.5:
        _heal(entries, old_content, entries[path])


def _heal(entries: dict[str, bytes], was: bytes, now: bytes) -> None:
    """Give everything that names the digest of ``was`` the one of ``now``."""
    before, after = digest_of(was).encode()[7:], digest_of(now).encode()[7:]
    for path in list(entries):
        content = entries.pop(path)
        if before in content and b"blobs_paths" not in content and path != "index.json":
            changed = content.replace(before, after)
            entries[path] = changed
            continue
        entries[path.replace(before.decode(), after.decode())] = content.replace(before, after)


def other_values(content: bytes, dice: random.Random) -> bytes:
    """Change something in a JSON document, anywhere in it."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return content + b" "
    holders: list[Any] = []
    waiting: list[Any] = [document]
    while waiting:
        value = waiting.pop()
        if isinstance(value, (dict, list)) and value:
            holders.append(value)
            waiting += value.values() if isinstance(value, dict) else value
    if not holders:
        return b"[]"
    for _ in range(dice.choice([1, 1, 2])):
        holder = dice.choice(holders)
        if not holder:
            continue
        key = dice.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
        match dice.randrange(6):
            case 0:
                del holder[key]
            case 1 if isinstance(holder, dict):
                holder[dice.choice(ODD_TEXTS)] = holder.pop(key)
            case 1 | 2:
                other = dice.choice(holders)
                holder[key] = dice.choice(
                    list(other.values() if isinstance(other, dict) else other) or [0]
                )
            case 3:
                holder[key] = dice.choice(ODD_TEXTS)
            case _:
                holder[key] = dice.choice(ODD_VALUES)
    try:
        text = json.dumps(document)
    except (ValueError, RecursionError):  # it holds itself now
        return b"[" * 100_000
    if dice.random() < 0.1:
        text = text.replace("{", '{"schemaVersion":2,"schemaVersion":2,', 1)
    return text.encode()
