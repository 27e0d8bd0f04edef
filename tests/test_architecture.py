"""The package's shape: what it exports, and which module may know which."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import docker_charon

PACKAGE = Path(docker_charon.__file__).parent

# Every module with those of ours that it may import: imports point down only.
LAYERS = [
    {"__main__"},
    {"cli"},
    {"demo"},
    {"demo_image"},
    {"command_values", "options", "terminal"},
    {"help_page"},
    {"__init__"},
    {"inspection", "inventory", "make", "push", "server", "verification"},
    {"manifest_push", "resolution", "survey", "server.connection", "server.upload_endpoints"},
    {"server.endpoints"},
    {"server.answer", "server.layout", "server.payload_stack"},
    {"registry", "payload_reader", "payload_writer", "progress", "server.upload"},
    {"archive", "blob_stream", "blob_upload", "connection", "partial_file", "server.store"},
    {"server.catalog", "server.layout_index"},
    {"auth", "payload", "refusal", "server.stored_manifest"},
    {
        "credentials",
        "failure",
        "limits",
        "transport",
        "plan",
        "random_access",
        "workers",
        "zip_records",
    },
    {"referrer", "selection"},
    {"manifest"},
    {"reference", "descriptor", "json_document"},
    {"digest", "durable_file", "platform", "server.byte_range", "server.request_body", "size"},
    {"errors"},
]
ZIP_SIDE = {"archive", "partial_file", "payload", "payload_reader", "payload_writer", "zip_records"}
HTTP_SIDE = {
    "failure",
    "auth",
    "blob_stream",
    "blob_upload",
    "connection",
    "credentials",
    "refusal",
    "registry",
    "resolution",
    "manifest_push",
    "transport",
}
SERVER_SIDE = {
    "server",
    "server.answer",
    "server.byte_range",
    "server.connection",
    "server.endpoints",
    "server.request_body",
}
KEPT = {
    "server.catalog",
    "server.layout",
    "server.layout_index",
    "server.payload_stack",
    "server.store",
    "server.stored_manifest",
    "server.upload",
}


def imports() -> dict[str, set[str]]:
    """Return, for each module, which of our modules it imports."""
    found = {}
    paths = {name_of(path): path for path in PACKAGE.rglob("*.py")}
    for module, path in paths.items():
        names = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.ImportFrom):
                continue
            package, _, name = (node.module or "").partition(".")
            if package != "docker_charon":
                continue
            own = [each.name for each in node.names if each.name in paths and not name]
            names.update(own or [name or "__init__"])
        found[module] = names
    return found


def name_of(path: Path) -> str:
    """Return a module's name below the package: ``server`` for that of ``server/__init__.py``."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[1:] and parts[-1] == "__init__" else parts)


def test_every_module_has_its_place_and_imports_only_from_below() -> None:
    rank = {module: n for n, layer in enumerate(LAYERS) for module in layer}
    assert imports().keys() == rank.keys()
    for module, names in imports().items():
        for name in names:
            assert rank[module] < rank[name], f"{module} imports {name}"


def test_the_map_for_contributors_shows_every_module() -> None:
    page = (Path(__file__).parent.parent / ".github/CONTRIBUTING.md").read_text()
    rows = page.partition("| modules |")[2].partition("\n\n")[0].splitlines()[2:]
    shown = {name for row in rows for name in re.findall("`([\\w.]+)`", row.split("|")[1])}
    assert shown == imports().keys() - {"__init__"}


def test_the_zip_never_sees_http_and_the_registry_never_sees_the_zip() -> None:
    for module, names in imports().items():
        if module in ZIP_SIDE:
            assert not names & HTTP_SIDE
        if module in HTTP_SIDE:
            assert not names & ZIP_SIDE


def test_what_is_served_never_sees_http_and_the_server_never_calls_a_registry() -> None:
    for module, names in imports().items():
        if module in KEPT | ZIP_SIDE:
            assert not names & (SERVER_SIDE | HTTP_SIDE | {"server.upload_endpoints"})
        if module in SERVER_SIDE | {"server.upload_endpoints"}:
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
        "InvalidPlatform",
        "InvalidReference",
        "ManifestNotFound",
        "PayloadError",
        "PayloadSummary",
        "RegistryError",
        "Server",
        "ServerError",
        "inspect_payload",
        "make_inventory",
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
