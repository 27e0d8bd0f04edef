"""Layouts that somebody else has stored, with damage and links in them, as `serve` opens them.

``FUZZ_LAYOUTS=2000`` tries more of them.
"""

from __future__ import annotations

import contextlib
import io
import os
import random
import shutil
from collections import Counter
from pathlib import Path

import pytest
import requests

import images
from distribution import Api
from docker_charon import DockerCharonError, make_payload, serve
from fuzz.line import check_line
from fuzz.mutation import APP, BASE, BOTH, ODD_TEXTS, RIGHT, THING, other_values
from images import TestImage
from payloads import unzipped

LAYOUTS = int(os.environ.get("FUZZ_LAYOUTS", "40"))
AT_A_TIME = 500
IMAGES: dict[str, TestImage] = {"app:1": APP, "base:1": BASE, "lib/both:2": BOTH, "thing:x": THING}
SECRET = b"nobody outside may read or change this"


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a layout that is right."""
    folder = tmp_path_factory.mktemp("layout")
    with serve(storage=folder) as server:
        for name, content in IMAGES.items():
            images.put(server.address, name, content)
    return folder


def change(layout: Path, outside: Path, dice: random.Random) -> None:
    """Change one place of a layout, as a bad disk or a hostile sender would."""
    path = dice.choice(sorted(layout.rglob("*")))
    content = bytearray(path.read_bytes()) if path.is_file() else bytearray()
    match dice.randrange(7):
        case 0 if content:
            content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
            path.write_bytes(content)
        case 1 if content:
            path.write_bytes(content[: dice.randrange(len(content))])
        case 2 if path.is_file():
            path.unlink()
            path.mkdir()
        case 3:
            remove(path)
            path.symlink_to(dice.choice([outside, outside / "secret", layout, path]))
        case 4:
            with contextlib.suppress(OSError, ValueError):  # not every text is a name
                path.rename(path.with_name(dice.choice(ODD_TEXTS)))
        case 5:
            remove(path)
        case _:
            file = layout / dice.choice(["index.json", "index.json", "oci-layout"])
            if file.is_file() and not file.is_symlink():
                file.write_bytes(other_values(file.read_bytes(), dice))


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def names_in(api: Api) -> list[str]:
    """Return every image that the server lists."""
    return [
        f"{repository}:{tag}"
        for repository in api("GET", "_catalog").json()["repositories"]
        for tag in api("GET", f"{repository}/tags/list").json()["tags"]
    ]


def examine(layout: Path) -> str:
    """Serve a layout, pull all that it lists, and push to it; return how it ended."""
    try:
        with serve(storage=layout) as server:
            whole = 0
            for name in names_in(Api(server.address)):
                payload = io.BytesIO()
                try:
                    make_payload(server.address, payload, [name], secure=False, progress=False)
                except DockerCharonError as error:
                    check_line(error)
                    continue
                assert any(manifest in RIGHT for manifest in unzipped(payload.getvalue()).values())
                assert SECRET not in payload.getvalue()
                whole += 1
            with contextlib.suppress(requests.HTTPError, AssertionError, KeyError):
                images.put(server.address, "new:1", APP)  # it may have no place for it
    except DockerCharonError as error:
        check_line(error)
        return "refused"
    return "whole" if whole >= len(IMAGES) else "in part"


@pytest.mark.parametrize("first", range(0, LAYOUTS, AT_A_TIME))
def test_a_stored_layout_is_served_right_or_refused(
    layout: Path, tmp_path: Path, first: int
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(SECRET)
    ends: Counter[str] = Counter()
    for seed in range(first, min(first + AT_A_TIME, LAYOUTS)):
        dice = random.Random(seed)  # noqa: S311  # repeatable on purpose
        copy = tmp_path / f"layout{seed}"
        shutil.copytree(layout, copy)
        for _ in range(dice.choice([1, 1, 2, 3])):
            change(copy, outside, dice)
        ends[examine(copy)] += 1
        assert [path.name for path in outside.iterdir()] == ["secret"], f"seed {seed}"
        assert (outside / "secret").read_bytes() == SECRET, f"seed {seed}"
        shutil.rmtree(copy)
    assert ends.keys() == {"whole", "in part", "refused"}
