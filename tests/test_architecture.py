"""The package's shape: what it exports, and which module may know which."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import docker_charon

PACKAGE = Path(docker_charon.__file__).parent

# Every module with those of ours that it may import: imports point down only.
LAYERS = [
    {"__main__"},
    {"cli"},
    {"__init__"},
    {"inspection", "make", "push", "server", "verification"},
    {"connection", "upload_endpoints"},
    {"endpoints"},
    {"answer", "layout", "payload_stack"},
    {"registry", "payload_reader", "payload_writer", "progress", "upload"},
    {"archive", "auth", "blob_stream", "blob_upload", "partial_file", "refusal", "store"},
    {"catalog", "layout_index"},
    {"payload", "stored_manifest"},
    {"credentials", "failure", "transport", "plan", "random_access", "workers", "zip_records"},
    {"manifest"},
    {"reference", "descriptor"},
    {"byte_range", "digest", "durable_file", "request_body"},
    {"errors"},
]
ZIP_SIDE = {"archive", "partial_file", "payload", "payload_reader", "payload_writer", "zip_records"}
HTTP_SIDE = {
    "failure",
    "auth",
    "blob_stream",
    "blob_upload",
    "credentials",
    "refusal",
    "registry",
    "transport",
}
SERVER_SIDE = {"answer", "byte_range", "connection", "endpoints", "request_body", "server"}
KEPT = {"catalog", "layout", "layout_index", "payload_stack", "store", "stored_manifest", "upload"}


def imports() -> dict[str, set[str]]:
    """Return, for each module, which of our modules it imports."""
    found = {}
    for path in PACKAGE.glob("*.py"):
        names = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("docker_charon"):
                names.add((node.module or "").partition(".")[2] or "__init__")
        found[path.stem] = names
    return found


def test_every_module_has_its_place_and_imports_only_from_below() -> None:
    rank = {module: n for n, layer in enumerate(LAYERS) for module in layer}
    assert imports().keys() == rank.keys()
    for module, names in imports().items():
        for name in names:
            assert rank[module] < rank[name], f"{module} imports {name}"


def test_the_zip_never_sees_http_and_the_registry_never_sees_the_zip() -> None:
    for module, names in imports().items():
        if module in ZIP_SIDE:
            assert not names & HTTP_SIDE
        if module in HTTP_SIDE:
            assert not names & ZIP_SIDE


def test_what_is_served_never_sees_http_and_the_server_never_calls_a_registry() -> None:
    for module, names in imports().items():
        if module in KEPT | ZIP_SIDE:
            assert not names & (SERVER_SIDE | HTTP_SIDE | {"upload_endpoints"})
        if module in SERVER_SIDE | {"upload_endpoints"}:
            assert not names & HTTP_SIDE


def test_what_is_exported_is_a_promise() -> None:
    assert sorted(docker_charon.__all__) == [
        "AuthenticationError",
        "BlobNotFound",
        "ConnectionFailed",
        "DigestMismatch",
        "DockerCharonError",
        "ImageSummary",
        "InvalidDigest",
        "InvalidManifest",
        "InvalidReference",
        "ManifestNotFound",
        "PayloadError",
        "PayloadSummary",
        "RegistryError",
        "Server",
        "ServerError",
        "inspect_payload",
        "make_payload",
        "push_payload_to_registry",
        "serve",
        "verify_payload",
    ]


def test_every_error_hangs_under_one_base() -> None:
    for name in docker_charon.__all__:
        value = getattr(docker_charon, name)
        if isinstance(value, type) and issubclass(value, BaseException):
            assert issubclass(value, docker_charon.DockerCharonError)


def test_the_whole_trip_runs_as_the_readme_says() -> None:
    script = Path(__file__).parent / "trip.py"
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, check=False
    )
    assert "every byte has arrived" in done.stdout or "is missing" in done.stdout, done.stderr
