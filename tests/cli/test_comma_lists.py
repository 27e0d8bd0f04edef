"""Comma lists of the command line, and choices of tags in them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import images
from command_line import charon
from docker_charon import InvalidPlatform, make_payload, serve
from images import image, index_of, layer
from payloads import described


@pytest.fixture
def listed(tmp_path: Path) -> Iterator[str]:
    with serve(storage=tmp_path / "source") as server:
        for n, tag in enumerate(("1.7.0", "1.8.0", "1.8.1", "2.0.0", "latest")):
            platforms = {
                f"linux/{a}": image(layer(n), platform=f"linux/{a}")
                for a in ("amd64", "arm64", "s390x")
            }
            images.put(server.address, f"app:{tag}", index_of(platforms))
        yield server.address


def test_images_can_be_chosen_in_arguments_and_in_files(listed: str, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text(
        "app:>=1.7,<1.8,app:latest  # the rest\napp:>= 1.8 < 1.8.1\n"
    )
    options = ["-r", listed, "-i", "-f", tmp_path / "p.zip", "--images-from", tmp_path / "list.txt"]
    done = charon("make-payload", *options, "app:~1.8,app:2.*")
    assert done.status == 0, done.stderr
    assert "docker-charon: app:~1.8 is 2 tags: 1.8.0, 1.8.1" in done.stderr.splitlines()
    assert [*described(tmp_path / "p.zip")["manifests_paths"]] == [
        *("app:1.8.0", "app:1.8.1", "app:2.0.0", "app:1.7.0", "app:latest")
    ]


def test_images_that_were_already_transferred_are_a_comma_list_too(
    listed: str, tmp_path: Path
) -> None:
    options = ["-r", listed, "-i", "-f", tmp_path / "p.zip", "--newest", "1"]
    done = charon("make-payload", *options, "-a", "app:>=1.7,<1.8,app:1.8.0", "app:<2", "app:1.*")
    assert done.status == 0, done.stderr
    assert [*described(tmp_path / "p.zip")["manifests_paths"]] == ["app:1.8.1"]
    assert "app:>=1.7,<1.8 is 1 tag: 1.7.0" in done.stderr


def test_an_inventory_takes_choices(listed: str, tmp_path: Path) -> None:
    options = ["-r", listed, "-i", "-f", tmp_path / "i.zip"]
    done = charon("make-inventory", *options, "app:>=1.8,<2,app:late*")
    assert done.stdout.split() == ["app:1.8.0", "app:1.8.1", "app:latest"]


@pytest.mark.parametrize(
    "platforms",
    [
        ["--platform", "linux/amd64,linux/arm64"],
        ["--platform", "linux/amd64, linux/arm64,"],
        ["--platform", "linux/amd64", "--platform", "linux/arm64"],
    ],
)
def test_platforms_are_a_comma_list_or_repeated(
    listed: str, tmp_path: Path, platforms: list[str]
) -> None:
    make_payload(
        listed,
        tmp_path / "expected.zip",
        ["app:1.8.0"],
        secure=False,
        platforms=["linux/amd64", "linux/arm64"],
    )
    options = ["-r", listed, "-i", "-f", tmp_path / "p.zip", *platforms]
    assert charon("make-payload", *options, "app:1.8.0").status == 0
    assert (tmp_path / "p.zip").read_bytes() == (tmp_path / "expected.zip").read_bytes()


def test_a_python_list_has_no_commas_in_it(listed: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidPlatform, match="write several platforms as a list"):
        make_payload(
            listed,
            tmp_path / "p.zip",
            ["app:1.8.0"],
            secure=False,
            platforms=["linux/amd64,linux/arm64"],
        )


def test_a_lock_and_a_choice_work_together(listed: str, tmp_path: Path) -> None:
    lock, report = tmp_path / "lock.txt", tmp_path / "report.json"
    options = ["-r", listed, "-i", "--platform", "linux/amd64"]
    first = ["-f", tmp_path / "1.zip", "--lock", lock, "--newest", 2, "app:*"]
    assert charon("make-payload", *options, *first).status == 0
    assert [line.partition("@")[0] for line in lock.read_text().splitlines()] == [
        "# docker-charon lock: platforms linux/amd64; no referrers",
        f"{listed}/app:1.8.1",
        f"{listed}/app:2.0.0",
    ]
    second = ["-f", tmp_path / "2.zip", "--images-from", lock, "--report", report]
    assert charon("make-payload", *options, *second).status == 0
    names = [i["name"] for i in json.loads(report.read_text())["images"]]
    assert [name.partition("@")[0] for name in names] == ["app:1.8.1", "app:2.0.0"]
    blobs = [described(tmp_path / f"{n}.zip")["blobs_paths"] for n in (1, 2)]
    assert blobs[0] == blobs[1]


@pytest.mark.parametrize(
    ("arguments", "status", "part"),
    [
        (["--newest", "0", "app:*"], 2, "0 is not in the range"),
        (["--newest", "2", "app:1.8.0"], 1, "no image has a choice of tags"),
        (["app:3.*"], 1, "has no tag 3.* of app; it has 5 tags: 2.0.0, 1.8.1, 1.8.0, 1.7.0"),
        (["app:"], 2, "put quotes around a range of versions in a shell"),
        (["app:1.8.0,<2"], 2, "is not an image name"),
    ],
)
def test_a_choice_that_cannot_be_made_is_one_line(
    listed: str, tmp_path: Path, arguments: list[str], status: int, part: str
) -> None:
    done = charon("make-payload", "-r", listed, "-i", "-f", tmp_path / "p.zip", "-q", *arguments)
    assert done.status == status
    assert part in done.stderr
    assert len(done.stderr.splitlines()) == 1
