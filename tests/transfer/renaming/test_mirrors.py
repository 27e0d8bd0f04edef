"""Mirrors: what nodes read to find images under their old names; Podman finds them for real.

containerd and K3s are followed as their documentation says. The test of Podman is at the end.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from conftest import require
from docker_charon import push_payload_to_registry, serve
from docker_charon.errors import DockerCharonError
from docker_charon.transfer.renaming.destinations import Destinations
from docker_charon.transfer.renaming.mirror_file import MARK
from docker_charon.transfer.renaming.mirrors import (
    KINDS,
    Mirror,
    checked_kinds,
    configuration,
)
from docker_charon.transfer.renaming.namespaces import moved_namespaces
from images import TestImage, image, layer
from payloads import payload_of

REGISTRIES = frozenset({"quay.io", "localhost:5001"})
NAMES = ["quay.io/team/app", "quay.io/tool", "localhost:5001/dev/app", "team/app"]
MIRROR = Mirror("registry.lan:5000", secure=True)
PLAIN = Mirror("registry.lan:5000", secure=False)


def files_of(
    kind: str,
    names: list[str],
    rules: dict[str, str] | None = None,
    prefix: str = "",
    mirror: Mirror = MIRROR,
) -> tuple[dict[str, str], list[str]]:
    """Return the texts of a configuration by their paths, and the old names that are lost."""
    destinations = Destinations(prefix, rules or {}, REGISTRIES)
    planned = configuration(kind, mirror, moved_namespaces(destinations, names))
    texts = {file.path: file.text() for file in planned.files}
    assert all(text.startswith(MARK) for text in texts.values())
    return texts, [move.old_name for move in planned.lost]


def parse_toml(text: str) -> dict[str, Any]:
    if sys.version_info < (3, 11):
        pytest.skip("Python 3.10 has no parser for TOML")
    import tomllib

    return tomllib.loads(text)


def split(old_name: str) -> tuple[str, str]:
    registry, _, repository = old_name.partition("/")
    return registry, repository


def asked_by_containerd(texts: dict[str, str], old_name: str) -> list[str]:
    """Return the addresses that containerd asks for a repository, in turn (``hosts.md``)."""
    registry, repository = split(old_name)
    name, _, port = registry.partition(":")
    document = parse_toml(texts[f"{name}_{port}_/hosts.toml" if port else f"{name}/hosts.toml"])
    assert document.keys() == {"host"}  # without a server it asks the registry itself, at last
    addresses = []
    for host, options in document["host"].items():
        assert options.keys() <= {"capabilities", "override_path"}
        assert options["capabilities"] == ["pull", "resolve"]  # it may say what a tag is
        assert not host.endswith("/")
        root = host if options.get("override_path") else f"{host}/v2"
        addresses.append(f"{root}/{repository}")
    return addresses


def asked_by_podman(texts: dict[str, str], old_name: str) -> tuple[str, bool]:
    """Return the mirror's name for a repository, and whether it may have no TLS.

    As in containers-registries.conf(5): the longest prefix counts, and both tags and digests.
    """
    tables = parse_toml(texts["registries.conf"])["registry"]
    fitting = [t for t in tables if f"{old_name}/".startswith(f"{t['prefix']}/")]
    table = max(fitting, key=lambda t: len(t["prefix"]))
    assert table.keys() == {"prefix", "location", "mirror"}
    assert table["location"] == table["prefix"]
    (mirror,) = table["mirror"]
    assert mirror.keys() <= {"location", "insecure"}
    rest = old_name[len(table["prefix"]) :]
    assert re.fullmatch(r"[a-z0-9.:/_-]*[^/]", mirror["location"])
    return mirror["location"] + rest, mirror.get("insecure", False)


def asked_by_k3s(texts: dict[str, str], old_name: str) -> str:
    """Return the address that K3s asks for a repository: at most one rewrite fits it."""
    registry, repository = split(old_name)
    document = yaml.safe_load(texts["registries.yaml"])
    assert document.keys() == {"mirrors"}
    mirror = document["mirrors"][registry]
    (endpoint,) = mirror["endpoint"]
    rewrites = mirror.get("rewrite", {})
    changed = {
        re.sub(pattern, target.replace("$1", r"\1"), repository)
        for pattern, target in rewrites.items()
        if re.search(pattern, repository)
    }
    assert all(pattern.startswith("^") and pattern.endswith("$") for pattern in rewrites)
    assert len(changed) <= 1
    return f"{endpoint}/v2/{changed.pop() if changed else repository}"


@pytest.mark.parametrize(
    ("rules", "prefix", "places"),
    [
        ({}, "", ["team/app", "tool", "dev/app", "team/app"]),
        ({}, "site", ["site/team/app", "site/tool", "site/dev/app", "site/team/app"]),
        (
            {"quay.io": "mirror/quay", "localhost:5001": "mirror/dev", "docker.io": "docker.io"},
            "",
            [
                "mirror/quay/team/app",
                "mirror/quay/tool",
                "mirror/dev/dev/app",
                "docker.io/team/app",
            ],
        ),
        (
            {"quay.io": "q", "docker.io": "d"},
            "site",
            ["site/q/team/app", "site/q/tool", "site/dev/app", "site/d/team/app"],
        ),
        (
            {"quay.io": "q", "quay.io/team": "x/team"},
            "",
            ["x/team/app", "q/tool", "dev/app", "team/app"],
        ),
    ],
)
def test_nodes_of_each_kind_find_the_images_under_their_old_names(
    rules: dict[str, str], prefix: str, places: list[str]
) -> None:
    old_names = [*NAMES[:3], f"docker.io/{NAMES[3]}"]
    for mirror, scheme in ((MIRROR, "https"), (PLAIN, "http")):
        for kind in KINDS:
            texts, lost = files_of(kind, NAMES, rules, prefix, mirror)
            assert not lost
            for old_name, place in zip(old_names, places, strict=True):
                address = f"{scheme}://registry.lan:5000/v2/{place}"
                if kind == "containerd":
                    asked = asked_by_containerd(texts, old_name)
                    taken = {f"{scheme}://registry.lan:5000/v2/{other}" for other in places}
                    assert next(one for one in asked if one in taken) == address
                elif kind == "registries.conf":
                    expected = (f"registry.lan:5000/{place}", not mirror.secure)
                    assert asked_by_podman(texts, old_name) == expected
                else:
                    assert asked_by_k3s(texts, old_name) == address


def test_podman_and_k3s_find_what_changed_its_last_part_or_lost_its_first() -> None:
    names = ["python", "quay.io/team/app", "quay.io/team/sub/tool", "quay.io/other"]
    rules = {"quay.io/team/app": "app2", "quay.io/team": ""}
    places = {
        "docker.io/library/python": "python",
        "quay.io/team/app": "app2",
        "quay.io/team/sub/tool": "sub/tool",
        "quay.io/other": "other",
    }
    podman, lost_by_podman = files_of("registries.conf", names, rules)
    k3s, lost_by_k3s = files_of("k3s", names, rules)
    assert not lost_by_podman
    assert not lost_by_k3s
    for old_name, place in places.items():
        assert asked_by_podman(podman, old_name) == (f"registry.lan:5000/{place}", False)
        assert asked_by_k3s(k3s, old_name) == f"https://registry.lan:5000/v2/{place}"


def test_containerd_cannot_follow_what_is_not_a_path_before_the_name() -> None:
    names = ["python", "team/app", "quay.io/team/app", "quay.io/other"]
    _, lost = files_of("containerd", names, {"quay.io/team": "t"})
    assert lost == ["docker.io/library/python", "quay.io/team/app"]
    _, lost = files_of("containerd", names, {"docker.io": "docker.io", "quay.io": "q"})
    assert not lost


def test_containerd_would_stop_at_the_first_mirror_that_has_the_name() -> None:
    rules = {"quay.io": "q", "quay.io/team": "r/team", "ghcr.io": "q"}
    names = ["quay.io/team/app", "quay.io/tool"]
    _, lost = files_of("containerd", names, rules)
    assert not lost
    _, lost = files_of("containerd", [*names, "quay.io/q/team/app"], {**rules, "q": "q"})
    assert lost == ["quay.io/team/app"]


def test_a_general_rewrite_leaves_out_what_has_one_of_its_own() -> None:
    texts, _ = files_of(
        "k3s", ["quay.io/team/app", "quay.io/tool.x"], {"quay.io": "q", "team": "t"}
    )
    rewrites = yaml.safe_load(texts["registries.yaml"])["mirrors"]["quay.io"]["rewrite"]
    assert rewrites == {r"^tool\.x$": "q/tool.x", "^team/(.*)$": "t/$1"}


def test_podman_takes_short_names_from_docker_hub_only_if_images_are_from_there() -> None:
    texts, _ = files_of("registries.conf", ["python", "quay.io/app"])
    document = parse_toml(texts["registries.conf"])
    assert document["unqualified-search-registries"] == ["docker.io"]
    texts, _ = files_of("registries.conf", ["quay.io/app"])
    assert "unqualified-search-registries" not in texts["registries.conf"]


@pytest.mark.parametrize("kind", KINDS)
def test_what_an_earlier_push_wrote_of_other_registries_stays(kind: str) -> None:
    def planned(names: list[str], to: str) -> Any:
        destinations = Destinations("", {"quay.io": to, "docker.io": "d"}, REGISTRIES)
        return configuration(kind, MIRROR, moved_namespaces(destinations, names)).files

    first = planned(["quay.io/app", "localhost:5001/dev/app", "python"], "old")
    second = planned(["quay.io/tool"], "new")
    earlier = {file.path: file.text() for file in first}
    texts = earlier | {file.path: file.text(earlier[file.path]) for file in second}
    for old_name, place in {
        "quay.io/app": "new/app",
        "quay.io/tool": "new/tool",
        "localhost:5001/dev/app": "dev/app",
        "docker.io/library/python": "d/library/python",
    }.items():
        if kind == "containerd":
            asked = asked_by_containerd(texts, old_name)
            assert asked == [f"https://registry.lan:5000/v2/{place}"]
        elif kind == "registries.conf":
            assert asked_by_podman(texts, old_name) == (f"registry.lan:5000/{place}", False)
            assert "unqualified-search-registries" in texts["registries.conf"]
        else:
            assert asked_by_k3s(texts, old_name) == f"https://registry.lan:5000/v2/{place}"
    assert {file.path: file.text(texts[file.path]) for file in second}.items() <= texts.items()


ADDED = {
    "containerd": ('["pull", "resolve"]\n', '["pull", "resolve"]\n  ca = "/etc/ca.crt"\n'),
    "registries.conf": ("insecure = true\n", "insecure = true\n\n[[registry]]\nprefix = 'x'\n"),
    "k3s": ("registry.lan:5000", "10.0.0.5:5000"),
}
"""A text in each kind of file, and what somebody makes of it."""


@pytest.mark.parametrize("kind", KINDS)
def test_what_people_have_edited_stays_and_is_named_if_it_would_change(kind: str) -> None:
    def planned(to: str) -> Any:
        destinations = Destinations("", {"quay.io": to}, frozenset({"quay.io"}))
        mirror = PLAIN
        return configuration(kind, mirror, moved_namespaces(destinations, ["quay.io/app"])).files[0]

    edited = planned("old").text().replace(*ADDED[kind], 1)
    assert edited != planned("old").text()
    assert planned("old").text(edited) == edited
    assert planned("new").text(edited) == edited
    assert planned("old").edited(edited) == []
    assert planned("new").edited(edited) == ["quay.io"]
    assert planned("new").edited(planned("old").text()) == []


def test_logins_and_settings_around_the_mirrors_of_k3s_stay() -> None:
    def planned(registry: str) -> Any:
        destinations = Destinations("", {}, frozenset({registry}))
        return configuration(
            "k3s", MIRROR, moved_namespaces(destinations, [f"{registry}/app"])
        ).files[0]

    logins = 'configs:\n  "registry.lan:5000":\n    auth:\n      username: me\n'
    text = planned("quay.io").text() + f"\n{logins}"
    text = text.replace("mirrors:\n", "# ours\nother: 1\nmirrors:\n")
    merged = planned("ghcr.io").text(text)
    assert planned("ghcr.io").text(merged) == merged
    assert merged.endswith(f"\n{logins}")
    assert "# ours\nother: 1\nmirrors:\n" in merged
    assert merged.index('"ghcr.io":') < merged.index('"quay.io":') < merged.index("configs:")
    assert merged.count("mirrors:\n") == 1


def test_a_line_above_the_sections_that_people_have_set_otherwise_stays() -> None:
    destinations = Destinations("", {"docker.io": "hub"}, REGISTRIES)
    (file,) = configuration(
        "registries.conf", MIRROR, moved_namespaces(destinations, ["python"])
    ).files
    text = file.text().replace('= ["docker.io"]', '= ["registry.lan", "docker.io"]')
    assert file.text(text) == text


def test_a_key_of_ours_is_above_the_tables_that_people_have_added() -> None:
    def planned(*names: str) -> Any:
        destinations = Destinations("", {"docker.io": "hub"}, REGISTRIES)
        return configuration(
            "registries.conf", MIRROR, moved_namespaces(destinations, names)
        ).files[0]

    added = '# ours\n[aliases]\n"app" = "quay.io/team/app"\n'
    text = planned("quay.io/team/app").text().replace("\n# Images", f"\n{added}\n# Images", 1)
    merged = planned("quay.io/team/app", "python").text(text)
    assert added in merged
    assert planned("quay.io/team/app", "python").text(merged) == merged
    parsed = parse_toml(merged)
    assert parsed["unqualified-search-registries"] == ["docker.io"]
    assert parsed["aliases"] == {"app": "quay.io/team/app"}


def test_kinds_are_those_that_are_known() -> None:
    assert checked_kinds("k3s") == ["k3s"]
    assert checked_kinds(["k3s", "containerd", "k3s"]) == ["k3s", "containerd"]
    with pytest.raises(DockerCharonError, match=r"choose from containerd, registries\.conf, k3s"):
        checked_kinds(["podman"])


PULLED: dict[str, TestImage] = {
    "quay.io/x/y:1": image(layer(1), layer(2)),
    "quay.io/team/tool:1": image(layer(3)),
    "python:3": image(layer(4)),
}


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return a folder with a short path: podman takes no long one."""
    path = Path(tempfile.mkdtemp())
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.mark.parametrize(
    "rules", [None, {"quay.io": "mirror/quay", "quay.io/team": "t", "docker.io": "docker.io"}]
)
def test_podman_pulls_by_old_names_from_the_mirror(
    tmp_path: Path, folder: Path, rules: dict[str, str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    require(shutil.which("podman") is not None, "podman")
    (tmp_path / "p.zip").write_bytes(payload_of(PULLED, registries={"quay.io"}))
    own = [
        *("podman", "--root", str(folder / "root"), "--runroot", str(folder / "run")),
        *("--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--events-backend", "none"),
    ]
    with serve(storage=tmp_path / "registry") as server:
        push_payload_to_registry(
            server.address,
            tmp_path / "p.zip",
            secure=False,
            repository_map=rules,
            mirrors="registries.conf",
            mirrors_dir=tmp_path,
        )
        monkeypatch.setenv("CONTAINERS_REGISTRIES_CONF", str(tmp_path / "registries.conf"))
        names = [*PULLED, f"quay.io/x/y@{PULLED['quay.io/x/y:1'].digest}"]
        done = subprocess.run([*own, "pull", *names], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        listed = subprocess.run(
            [*own, "images", "--format", "{{.Repository}}:{{.Tag}} {{.Digest}}"],
            capture_output=True,
            text=True,
            check=True,
        )
    found = dict(line.split() for line in listed.stdout.splitlines())
    assert found["quay.io/x/y:1"] == PULLED["quay.io/x/y:1"].digest
    assert found["quay.io/team/tool:1"] == PULLED["quay.io/team/tool:1"].digest
    assert found["docker.io/library/python:3"] == PULLED["python:3"].digest
