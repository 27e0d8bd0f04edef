"""Updates of layers: an old and a new tar of real packages, of PyPI and of Debian.

Downloads and tars are kept in a folder, so that a second run measures the same bytes.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

KEPT = ("certifi==2024.7.4", "idna==3.7", "numpy==2.1.1", "pandas==2.2.2", "urllib3==2.2.2")
BUMPED = (
    ("django==5.0.6", "django==5.0.7"),
    ("sqlalchemy==2.0.34", "sqlalchemy==2.0.35"),
)
"""Packages of PyPI at an old and a new version."""

DEBIAN = """
    adduser apt base-files base-passwd bash bsdutils ca-certificates coreutils curl dash debconf
    debian-archive-keyring debianutils diffutils dpkg e2fsprogs findutils gcc-12-base git gpgv grep
    gzip hostname libapt-pkg6.0 libblkid1 libc-bin libc6 libcurl4 libdb5.3 libext2fs2 libgcrypt20
    libgmp10 libgnutls30 libgssapi-krb5-2 libkrb5-3 libldap-2.5-0 liblzma5 libmount1 libncursesw6
    libnghttp2-14 libp11-kit0 libpam-modules libpcre2-8-0 libpython3.11-minimal
    libpython3.11-stdlib libsmartcols1 libsqlite3-0 libssh2-1 libssl3 libstdc++6 libsystemd0
    libtasn1-6 libtinfo6 libudev1 libunistring2 libuuid1 libzstd1 login mawk mount ncurses-base
    ncurses-bin openssl passwd perl-base python3.11 python3.11-minimal sed sysvinit-utils tar tzdata
    util-linux zlib1g
"""
"""The packages of a Debian base with curl, git and Python."""

SOURCES, CHANGED_SOURCES = 200, 3
"""The source files of an application, and how many of them change."""

_DOWNLOAD = ("apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download")

_OWN_LINE = (
    "cmd/compile/main.go",
    'log.SetPrefix("compile: ")',
    'log.SetPrefix(fmt.Sprintf("compile %d: ", os.Getpid()))',
)
_LIBRARY_LINE = (
    "cmd/compile/internal/base/print.go",
    'fmt.Printf("%s", err.msg)',
    'fmt.Printf("%s (%v)", err.msg, err.pos)',
)
"""A file of Go's source, a line in it, and what it becomes."""


@dataclass(frozen=True)
class Update:
    """Two versions of a layer, as tars."""

    name: str
    old: Path
    new: Path
    most: float
    """The largest delta that is good enough, as a share of the new layer as gzip."""


class Missing(Exception):
    """What an update is made of is not installed."""


class Updates:
    """Makes updates in a folder, each the first time it is asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._wheels = folder / "wheels"
        self._debs = folder / "debs"
        for made in (self._wheels, self._debs):
            made.mkdir(parents=True, exist_ok=True)

    def all(self) -> dict[str, Callable[[], Update]]:
        """Return what makes each update, by a short name."""
        return {
            "rebuilt": self.rebuilt,
            "bumped": self.bumped,
            "sources": self.sources,
            "debian": self.debian,
            "program": self.program,
            "library": self.library,
        }

    def rebuilt(self) -> Update:
        """Return the same packages of PyPI, installed again."""
        return Update(
            "Python packages, installed again: only times change",
            self._packages("packages-old"),
            self._packages("packages-again"),
            0.02,
        )

    def bumped(self) -> Update:
        """Return packages of PyPI, two of which have a new version; all are installed again."""
        return Update(
            f"Python packages, {len(BUMPED)} of {len(KEPT) + len(BUMPED)} at a newer version",
            self._packages("packages-old"),
            self._packages("packages-new"),
            0.035,
        )

    def sources(self) -> Update:
        """Return source files, some of which are of the next release."""
        old, new = (self._folder / f"sources-{version}.tar" for version in ("old", "new"))
        if not new.exists():
            before, after = (
                self._members(self._packages(f"packages-{version}")) for version in ("old", "new")
            )
            names = sorted(
                name for name in before.keys() & after.keys()
                if name.endswith(".py") and name.startswith("django/") and len(before[name]) > 500
            )  # fmt: skip
            changed = [name for name in names if before[name] != after[name]]
            changed = [name for name in changed if name != "django/__init__.py"][:CHANGED_SOURCES]
            others = [name for name in names if name not in changed][: SOURCES - CHANGED_SOURCES]
            newest = {name: after[name] for name in changed}
            files = {name: before[name] for name in sorted([*changed, *others])}
            _write_files(old, files, 1_700_000_000)
            _write_files(new, {**files, **newest}, 1_731_000_000)
        return Update(f"{SOURCES} source files, {CHANGED_SOURCES} of them changed", old, new, 0.05)

    def debian(self) -> Update:
        """Return a Debian base at the oldest and the newest versions that apt knows."""
        old, new = (self._folder / f"debian-{version}.tar" for version in ("old", "new"))
        counted = self._folder / "debian-upgrades.json"
        if not counted.exists():
            versions = {name: _versions(name) for name in DEBIAN.split()}
            self._write_debian(old, {name: found[-1] for name, found in versions.items()})
            self._write_debian(new, {name: found[0] for name, found in versions.items()})
            upgrades = sum(found[0] != found[-1] for found in versions.values())
            counted.write_text(json.dumps(upgrades))
        upgrades = json.loads(counted.read_text())
        name = f"Debian base, {upgrades} of {len(DEBIAN.split())} packages at a newer version"
        return Update(name, old, new, 0.18)

    def program(self) -> Update:
        """Return a stripped Go program, the Go compiler itself, after a change in its own code."""
        return self._program("stripped Go program, one line changed", "program", 0.12, *_OWN_LINE)

    def library(self) -> Update:
        """Return the same program after a change in code that comes before all of its own."""
        name = "the same, a line of a library changed: all addresses move"
        return self._program(name, "library", 0.15, *_LIBRARY_LINE)

    def _program(
        self, name: str, stem: str, most: float, file: str, line: str, changed_line: str
    ) -> Update:
        old, new = self._folder / "program-old.tar", self._folder / f"{stem}-new.tar"
        if not old.exists():
            self._write_program(old, [])
        if not new.exists():
            source = Path(_output("go", "env", "GOROOT").strip()) / "src" / file
            changed, overlay = self._folder / "changed.go", self._folder / "overlay.json"
            text = source.read_text()
            assert line in text
            changed.write_text(text.replace(line, changed_line))
            overlay.write_text(json.dumps({"Replace": {str(source): str(changed)}}))
            self._write_program(new, ["-overlay", str(overlay)])
        return Update(name, old, new, most)

    def _packages(self, name: str) -> Path:
        """Return the tar of packages of PyPI, installed by pip into an empty folder."""
        target = self._folder / f"{name}.tar"
        if not target.exists():
            version = 1 if name == "packages-new" else 0
            wanted = [*KEPT, *(pair[version] for pair in BUMPED)]
            pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
            only = ["--no-deps", "--only-binary", ":all:"]
            _run([*pip, "download", *only, "--dest", str(self._wheels), *wanted])
            folder = self._folder / name
            found = ["--no-index", "--find-links", str(self._wheels), "--target", str(folder)]
            _run([*pip, "install", "--no-deps", *found, *wanted])
            _write_tree(target, folder)
            shutil.rmtree(folder)
        return target

    def _write_debian(self, target: Path, versions: dict[str, str]) -> None:
        _need("apt-get", "apt")
        folder = target.with_suffix("")
        for name, version in versions.items():
            archives = f"{name}_{version.replace(':', '%3a')}_*.deb"
            if not list(self._debs.glob(archives)):
                _run([*_DOWNLOAD, f"{name}={version}"], self._debs)
            (archive,) = self._debs.glob(archives)
            _run(["dpkg-deb", "--extract", str(archive), str(folder)])
        _write_tree(target, folder)
        shutil.rmtree(folder)

    def _write_program(self, target: Path, options: Sequence[str]) -> None:
        _need("go", "golang-go")
        program = target.with_suffix(".program")
        flags = ["-trimpath", "-ldflags", "-s -w -buildid="]
        _run(["go", "build", *flags, *options, "-o", str(program), "cmd/compile"])
        _write_files(target, {"usr/bin/program": program.read_bytes()}, 1_700_000_000)
        program.unlink()

    def _members(self, path: Path) -> dict[str, bytes]:
        with tarfile.open(path) as archive:
            return {
                member.name: file.read()
                for member in archive
                if (file := archive.extractfile(member))
            }


def _versions(name: str) -> list[str]:
    """Return the versions of a package that apt knows, the newest first."""
    lines = _output("apt-cache", "madison", name).splitlines()
    versions = [line.split("|")[1].strip() for line in lines]
    if not versions:
        raise Missing(f"apt does not know {name}: apt-get update")
    return versions


def _write_tree(target: Path, folder: Path) -> None:
    """Write a tar of a folder as root, in the order of a layer: by path."""

    def as_root(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = 0
        member.uname = member.gname = "root"
        return member

    part = target.with_suffix(".part")
    with tarfile.open(part, "w", format=tarfile.GNU_FORMAT) as archive:
        for path in sorted(folder.iterdir()):
            archive.add(path, arcname=path.name, filter=as_root)
    part.rename(target)


def _write_files(target: Path, files: dict[str, bytes], mtime: int) -> None:
    folder = target.with_suffix("")
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    _write_tree(target, folder)
    shutil.rmtree(folder)


def _need(program: str, package: str) -> None:
    if shutil.which(program) is None:
        raise Missing(f"{program} is missing: apt-get install {package}")


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _run(command: Sequence[str], folder: Path | None = None) -> None:
    subprocess.run(command, cwd=folder, check=True)
