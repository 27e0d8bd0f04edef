"""The programs that are compared, each with the commands that its users would type."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import images
from benchmarks.measurement import Command
from benchmarks.workload import Image

JOBS = 4


class Contender(ABC):
    """A program that makes one file of an image, or a folder of files, and pushes it."""

    name: str

    @abstractmethod
    def make(self, registry: str, image: Image, folder: Path) -> Command:
        """Bring an image from a registry into ``folder``."""

    @abstractmethod
    def push(self, registry: str, image: Image, folder: Path) -> Command:
        """Bring an image from ``folder`` into a registry."""


class DockerCharon(Contender):
    """The docker-charon of this Python, by its command line."""

    name = "docker-charon"

    def make(self, registry: str, image: Image, folder: Path) -> Command:
        return make_payload(registry, [image.name], folder / "payload.zip")

    def push(self, registry: str, image: Image, folder: Path) -> Command:
        return push_payload(registry, folder / "payload.zip")


def make_payload(registry: str, names: Sequence[str], file: Path, *, jobs: int = JOBS) -> Command:
    return _docker_charon("make-payload", registry, jobs, "-f", str(file), *names)


def push_payload(
    registry: str, file: Path, *, jobs: int = JOBS, from_stdin: bool = False
) -> Command:
    if from_stdin:
        return _docker_charon("push-payload", registry, jobs, stdin=file)
    return _docker_charon("push-payload", registry, jobs, "-f", str(file))


def _docker_charon(
    command: str, registry: str, jobs: int, *arguments: str, stdin: Path | None = None
) -> Command:
    program = [sys.executable, "-m", "docker_charon", command]
    return Command([*program, "-q", "-i", "-r", registry, "-j", str(jobs), *arguments], {}, stdin)


def make_inventory(registry: str, file: Path) -> Command:
    return _docker_charon("make-inventory", registry, JOBS, "-f", str(file))


def copy(file: Path, folder: Path) -> Command:
    """Copy a file into ``folder`` with `dd`, until the disk has it."""
    copied = folder / file.name
    return Command(["dd", f"if={file}", f"of={copied}", "bs=1M", "conv=fsync", "status=none"])


class OlderRelease(Contender):
    """A docker-charon from PyPI, installed in a folder of its own, through its Python API."""

    _SCRIPT = (
        "import json, sys, docker_charon; name, arguments, options = json.loads(sys.argv[1]); "
        "getattr(docker_charon, name)(*arguments, **options)"
    )

    def __init__(self, version: str, folder: Path) -> None:
        self.name = f"docker-charon {version}"
        self._folder = folder
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(folder)]
        subprocess.run([*pip, f"docker-charon=={version}"], check=True, capture_output=True)

    def make(self, registry: str, image: Image, folder: Path) -> Command:
        return self._call(registry, "make_payload", str(folder / "payload.zip"), [image.name])

    def push(self, registry: str, image: Image, folder: Path) -> Command:
        return self._call(registry, "push_payload", str(folder / "payload.zip"))

    def _call(self, registry: str, function: str, *arguments: object) -> Command:
        call = json.dumps([function, arguments, {"registry": registry, "secure": False}])
        argv = [sys.executable, "-c", self._SCRIPT, call]
        return Command(argv, {"PYTHONPATH": str(self._folder)})


class Skopeo(Contender):
    name = "skopeo copy"
    _form = "oci-archive:{}/image.tar:{}"
    _COPY = ("skopeo", "--insecure-policy", "copy", "--quiet")

    def make(self, registry: str, image: Image, folder: Path) -> Command:
        source = f"docker://{registry}/{image.name}"
        target = self._form.format(folder, image.tag)
        return Command([*self._COPY, "--src-tls-verify=false", source, target])

    def push(self, registry: str, image: Image, folder: Path) -> Command:
        source = self._form.format(folder, image.tag)
        target = f"docker://{registry}/{image.name}"
        return Command([*self._COPY, "--dest-tls-verify=false", source, target])


class SkopeoFolder(Skopeo):
    name = "skopeo copy, folder"
    _form = "oci:{}/layout:{}"


class Curl(Contender):
    """Nothing checked, one blob after the other: what the network and the disk can do."""

    name = "curl, folder"
    _PUSH = """
        set -eo pipefail
        folder=$1 base=$2 manifest=$3
        for digest in "${@:4}"; do
            upload=$(curl -sSf -X POST -D - -o "$folder/answer" "$base/blobs/uploads/" |
                sed -n 's/^[Ll]ocation: //p' | tr -d '\\r')
            curl -sSf -H Expect: -H 'Content-Type: application/octet-stream' \
                -T "$folder/${digest#*:}" "$upload&digest=$digest"
        done
        curl -sSf -H "Content-Type: $manifest" -T "$folder/manifest" "$base/manifests/1"
    """

    def make(self, registry: str, image: Image, folder: Path) -> Command:
        base = f"http://{registry}/v2/{image.repository}"
        digests = [str(blob["digest"]) for blob in image.blobs]
        urls = {digest.partition(":")[2]: f"{base}/blobs/{digest}" for digest in digests}
        urls["manifest"] = f"{base}/manifests/{image.tag}"
        outputs = [part for name, url in urls.items() for part in ("-o", f"{folder}/{name}", url)]
        return Command(["curl", "-sSf", "-H", f"Accept: {images.DOCKER}", *outputs])

    def push(self, registry: str, image: Image, folder: Path) -> Command:
        base = f"http://{registry}/v2/{image.repository}"
        digests = [str(blob["digest"]) for blob in image.blobs]
        script = ["bash", "-c", self._PUSH, "push"]
        return Command([*script, str(folder), base, images.DOCKER, *digests])


class Crane(Contender):
    """Its own number of transfers side by side is 4."""

    name = "crane"
    _form = "tarball"
    _path = "image.tar"

    def make(self, registry: str, image: Image, folder: Path) -> Command:
        options = ["--insecure", "--format", self._form]
        target = str(folder / self._path)
        return Command(["crane", "pull", *options, f"{registry}/{image.name}", target])

    def push(self, registry: str, image: Image, folder: Path) -> Command:
        target = f"{registry}/{image.name}"
        return Command(["crane", "push", "--insecure", str(folder / self._path), target])


class CraneFolder(Crane):
    name = "crane, folder"
    _form = "oci"
    _path = "layout"


class Regctl(Contender):
    """It exports and imports one tar, which is an OCI layout."""

    name = "regctl"

    def make(self, registry: str, image: Image, folder: Path) -> Command:
        return self._image("export", registry, image, folder)

    def push(self, registry: str, image: Image, folder: Path) -> Command:
        return self._image("import", registry, image, folder)

    def _image(self, command: str, registry: str, image: Image, folder: Path) -> Command:
        host = ["--host", f"reg={registry},tls=disabled"]
        reference = f"{registry}/{image.name}"
        return Command(["regctl", *host, "image", command, reference, f"{folder}/image.tar"])


def contenders(folder: Path) -> Iterator[Contender]:
    """Return those that are installed here; of older releases, what ``folder`` gets."""
    yield DockerCharon()
    yield OlderRelease("0.4.3", folder)
    optional: dict[str, tuple[Callable[[], Contender], ...]] = {
        "skopeo": (Skopeo, SkopeoFolder),
        "crane": (Crane, CraneFolder),
        "regctl": (Regctl,),
        "curl": (Curl,),
    }
    for program, forms in optional.items():
        if shutil.which(program):
            yield from (form() for form in forms)
        else:
            print(f"{program} is not installed: left out", file=sys.stderr)
