"""Layers for the tests of deltas, and what compresses them."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import random
import shutil
import subprocess
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from conftest import require
from docker_charon.deltas import apply_delta, make_delta
from docker_charon.deltas.deflate import LayerWriter
from docker_charon.deltas.header import Delta
from docker_charon.deltas.layer import SplitLayer


def tar(files: Mapping[str, bytes], mtime: int = 1_700_000_000) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mtime = len(content), mtime
            archive.addfile(member, io.BytesIO(content))
    return target.getvalue()


def noise(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)  # noqa: S311  # repeatable on purpose


def text(size: int, seed: int = 1) -> bytes:
    """Return what compresses as source code does."""
    dice = random.Random(seed)  # noqa: S311  # repeatable on purpose
    words = [noise(dice.randrange(2, 12), n).hex().encode() for n in range(300)]
    result = bytearray()
    while len(result) < size:
        result += dice.choice(words) + dice.choice([b" ", b"\n", b"(", b" = "])
    return bytes(result[:size])


def sources() -> dict[str, bytes]:
    """Return the files of a program that does not exist, always the same ones."""
    return {f"module_{n}.py": text(3000 + 137 * n % 4000, n) for n in range(60)}


def changed_sources() -> dict[str, bytes]:
    """Return the same files after a small change in one of them."""
    files = sources()
    changed = files["module_30.py"].replace(b"(", b"[", 40)
    return {**files, "module_30.py": changed[:-100] + text(500, 99)}


def members(raw: bytes, size: int) -> bytes:
    """Compress as estargz does: each few bytes are a member."""
    parts = range(0, len(raw), size)
    return b"".join(gzip.compress(raw[n : n + size], mtime=0) for n in parts)


def flushed(raw: bytes, mode: int) -> bytes:
    compressor = zlib.compressobj(wbits=31)
    parts = range(0, len(raw), 5000)
    flushes = [compressor.compress(raw[n : n + 5000]) + compressor.flush(mode) for n in parts]
    return b"".join(flushes) + compressor.flush()


def strategy(raw: bytes, level: int, kind: int, memory: int = 8) -> bytes:
    compressor = zlib.compressobj(level, wbits=31, memLevel=memory, strategy=kind)
    return compressor.compress(raw) + compressor.flush()


def program(*command: str) -> Callable[[bytes], bytes]:
    """Compress with a program that reads standard input."""

    def compress(raw: bytes) -> bytes:
        require(bool(shutil.which(command[0])), command[0])
        return subprocess.run(command, input=raw, capture_output=True, check=True).stdout

    return compress


def golang(raw: bytes) -> bytes:
    """Compress with the standard library of Go, which Docker and BuildKit use."""
    if not shutil.which("go"):  # a large package; go.gz has some of its output
        pytest.skip("golang-go is not installed")
    source = """
        package main
        import ("compress/gzip"; "io"; "os")
        func main() {
            writer := gzip.NewWriter(os.Stdout)
            if _, err := io.Copy(writer, os.Stdin); err != nil { panic(err) }
            if err := writer.Close(); err != nil { panic(err) }
        }
    """
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "main.go").write_text(source)
        environment = {**os.environ, "GOCACHE": folder, "GOFLAGS": "-mod=mod"}
        command = ["go", "run", "main.go"]
        return subprocess.run(
            command, cwd=folder, env=environment, input=raw, capture_output=True, check=True
        ).stdout


def java(raw: bytes) -> bytes:
    """Compress with the standard library of Java, as Jib does."""
    if not shutil.which("javac"):  # a large package, for what zlib does
        pytest.skip("default-jdk-headless is not installed")
    source = """
        class Main {
            public static void main(String[] arguments) throws Exception {
                try (var target = new java.util.zip.GZIPOutputStream(System.out)) {
                    System.in.transferTo(target);
                }
            }
        }
    """
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "Main.java").write_text(source)
        command = ["java", "Main.java"]
        return subprocess.run(
            command, cwd=folder, input=raw, capture_output=True, check=True
        ).stdout


def on_files(package: str, *command: str) -> Callable[[bytes], bytes]:
    """Compress with a program that turns a file ``tar`` into another one, ``tar.gz``."""

    def compress(raw: bytes) -> bytes:
        require(bool(shutil.which(command[0])), package)
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "tar").write_bytes(raw)
            subprocess.run(command, cwd=folder, capture_output=True, check=True)
            return (Path(folder) / "tar.gz").read_bytes()

    return compress


def skopeo(raw: bytes) -> bytes:
    """Compress with what skopeo, podman and buildah use."""
    require(bool(shutil.which("skopeo")), "skopeo")

    def descriptor(content: bytes, kind: str) -> dict[str, object]:
        digest = hashlib.sha256(content).hexdigest()
        (source / digest).write_bytes(content)
        media_type = f"application/vnd.oci.image.{kind}"
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}

    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "source", Path(folder) / "target"
        source.mkdir()
        layer = descriptor(raw, "layer.v1.tar")
        config = {
            "architecture": "amd64",
            "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]},
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": descriptor(json.dumps(config).encode(), "config.v1+json"),
            "layers": [layer],
        }
        (source / "version").write_text("Directory Transport Version: 1.1\n")
        (source / "manifest.json").write_text(json.dumps(manifest))
        subprocess.run(
            ["skopeo", "copy", "--insecure-policy", "--dest-compress", "--dest-compress-format",
             "gzip", f"dir:{source}", f"dir:{target}"],
            capture_output=True,
            check=True,
        )  # fmt: skip
        layer = json.loads((target / "manifest.json").read_text())["layers"][0]
        return (target / str(layer["digest"]).removeprefix("sha256:")).read_bytes()


COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "zlib-fastest": lambda raw: gzip.compress(raw, 1, mtime=0),
    "zlib-best": lambda raw: gzip.compress(raw, 9, mtime=0),
    "zlib-stored": lambda raw: gzip.compress(raw, 0, mtime=0),
    "zlib-fixed": lambda raw: strategy(raw, 6, zlib.Z_FIXED),
    "zlib-huffman-only": lambda raw: strategy(raw, 6, zlib.Z_HUFFMAN_ONLY),
    "zlib-runs": lambda raw: strategy(raw, 6, zlib.Z_RLE),
    "zlib-filtered": lambda raw: strategy(raw, 6, zlib.Z_FILTERED),
    "zlib-small-blocks": lambda raw: strategy(raw, 6, zlib.Z_DEFAULT_STRATEGY, memory=1),
    "zlib-sync-flush": lambda raw: flushed(raw, zlib.Z_SYNC_FLUSH),
    "zlib-full-flush": lambda raw: flushed(raw, zlib.Z_FULL_FLUSH),
    "zlib-partial-flush": lambda raw: flushed(raw, zlib.Z_PARTIAL_FLUSH),
    "zlib-block-flush": lambda raw: flushed(raw, zlib.Z_BLOCK),
    "estargz": lambda raw: members(raw, 3000),
    "gzip": program("gzip", "-c"),
    "gzip-rsyncable": program("gzip", "-c", "--rsyncable"),
    "pigz": program("pigz", "-c"),
    "pigz-rsyncable": program("pigz", "-c", "-R"),
    "pigz-independent": program("pigz", "-c", "-i", "-b", "128"),
    "pigz-zopfli": program("pigz", "-c", "-11", "-I", "1"),
    "zopfli": on_files("zopfli", "zopfli", "--i1", "tar"),
    "7z": on_files("p7zip-full", "7z", "a", "-tgzip", "-mx=5", "tar.gz", "tar"),
    "7z-ultra": on_files("p7zip-full", "7z", "a", "-tgzip", "-mx=9", "tar.gz", "tar"),
    "busybox": program("busybox", "gzip", "-c"),
    "libdeflate-fastest": on_files("libdeflate-tools", "libdeflate-gzip", "-1", "tar"),
    "libdeflate": on_files("libdeflate-tools", "libdeflate-gzip", "-6", "tar"),
    "libdeflate-best": on_files("libdeflate-tools", "libdeflate-gzip", "-12", "tar"),
    "isal": on_files("isal", "igzip", "-k", "tar"),
    "skopeo": skopeo,
    "go": golang,
    "java": java,
}  # fmt: skip


def round_trip(layer: bytes, folder: Path) -> bytes:
    """Take a layer apart, and put it together again."""
    path = folder / "layer"
    path.write_bytes(layer)
    parts: list[bytes] = []
    writer = LayerWriter(parts.append)
    with SplitLayer(path) as split:
        for rows in split.structure.pieces():
            part = split.structure.part(rows)
            raw = split.raw(*split.structure.raw_range(rows))
            writer.write_rows(part.rows, part.headers, part.records, raw)
    return b"".join(parts)


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def written(folder: Path, *contents: bytes) -> list[Path]:
    """Write blobs under the names that registries give them."""
    paths = [folder / digest_of(content).removeprefix("sha256:") for content in contents]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    return paths


def delivered(folder: Path, new: bytes, olds: Sequence[bytes]) -> tuple[Delta | None, bytes]:
    """Make a delta and apply it; return what was made, and what came of it: nothing for none."""
    delta, target = folder / "delta", folder / "target"
    new_path, *old_paths = written(folder, new, *olds)
    made = make_delta(new_path, old_paths, delta)
    if made is None:
        assert not delta.exists()
        return None, b""
    assert made.size == delta.stat().st_size
    apply_delta(delta, dict(zip(map(digest_of, olds), old_paths, strict=True)), target)
    return made, target.read_bytes()
