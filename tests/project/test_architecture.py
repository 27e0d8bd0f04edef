"""The package's shape: what it exports, and which module may know which."""

from __future__ import annotations

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

import docker_charon

PACKAGE = Path(docker_charon.__file__).parent

# Each package, and the packages whose modules it may import. Besides them every module may import
# those of TOP, and those of its own package, where no circle is allowed.
MAY_IMPORT = {
    "progress": set(),
    "oci": set(),
    "registry": {"oci"},
    "payload": {"oci", "deltas"},
    "deltas": set(),
    "transfer": {"oci", "registry", "payload", "deltas"},
    "server": {"oci", "payload", "deltas"},
    "demo": {"oci", "registry", "payload", "deltas", "transfer", "server"},
    "lists": {"oci"},
    "cli": {"oci", "registry", "payload", "deltas", "transfer", "server", "demo", "lists"},
}
TOP = {"errors", "files", "messages", "progress", "value", "version", "workers"}
"""Modules that every package may import; they themselves import only those of LOWEST."""
LOWEST = {"errors", "messages", "value"}

# Each folder inside of a package, and what its modules may import of that package besides the
# modules of the same folder.
FOLDERS = {
    "payload": {
        "format": set(),
        "partial_files": {"format", "random_access"},
        "volumes": {"format", "partial_files", "random_access"},
        "archives": {"format", "volumes", "file_object", "random_access"},
        "signature": {"format", "archives", "random_access"},
        "layer_deltas": {"format", "archives", "reader", "file_object", "temporary_folder"},
    },
    "server": {
        "http": {"store"},
        "layouts": {"manifest", "store"},
        "payloads": {"manifest", "store"},
    },
    "transfer": {
        "naming": {"failed_images", "sources"},
        "renaming": {"plan"},
        "layer_deltas": {"ledger", "plan"},
    },
}


def imports() -> dict[str, set[str]]:
    """Return, for each of our modules, which of our modules it imports."""
    paths = {name_of(path): path for path in PACKAGE.rglob("*.py")}
    found: dict[str, set[str]] = {}
    for module, path in paths.items():
        names: set[str] = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGE.name):
                _, _, name = (node.module or "").partition(".")
                below = {f"{name}.{each.name}".strip(".") for each in node.names}
                names |= (below & paths.keys()) or {name or "__init__"}
        found[module] = names
    return found


def name_of(path: Path) -> str:
    """Return a module's name below the package: ``server.__init__`` keeps its last part."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


def package_of(module: str) -> str:
    """Return the package that a module is in; one at the top is its own."""
    return module.partition(".")[0]


def test_a_package_imports_only_what_the_table_allows() -> None:
    packages = {package_of(module) for module in imports() if "." in module}
    assert packages == MAY_IMPORT.keys()
    for module, names in imports().items():
        package = package_of(module)
        if package in TOP:
            allowed = LOWEST | {package}
        elif package in MAY_IMPORT:
            allowed = MAY_IMPORT[package] | TOP | {package}
        else:
            continue  # __init__ and __main__, which are above all of them
        assert {package_of(name) for name in names} <= allowed, f"{module} imports {names}"


def test_the_packages_have_an_order() -> None:
    for package, below in MAY_IMPORT.items():
        assert not any(package in MAY_IMPORT[other] for other in below)


def test_a_folder_inside_of_a_package_imports_only_what_the_table_allows() -> None:
    for package, folders in FOLDERS.items():
        assert {path.parent.name for path in PACKAGE.glob(f"{package}/*/__init__.py")} == {*folders}
    assert {path.parts[-3] for path in PACKAGE.glob("*/*/__init__.py")} == {*FOLDERS}
    for module, names in imports().items():
        package, _, inside = module.partition(".")
        folder = inside.rpartition(".")[0]
        if package in FOLDERS and folder:
            used = {name.split(".")[1] for name in names if package_of(name) == package}
            assert used <= FOLDERS[package][folder] | {folder}, f"{module} imports {names}"


def test_no_module_imports_itself_in_a_circle() -> None:
    graph = {module: names - {module} for module, names in imports().items()}
    TopologicalSorter(graph).prepare()  # raises CycleError


def test_no_folder_imports_itself_in_a_circle() -> None:
    graph: dict[str, set[str]] = {}
    for module, names in imports().items():
        used = {folder_of(name) for name in names} - {folder_of(module)}
        graph.setdefault(folder_of(module), set()).update(used)
    TopologicalSorter(graph).prepare()  # raises CycleError


def folder_of(module: str) -> str:
    """Return the folder inside of a package that a module is in; one beside these is its own."""
    package, _, inside = module.partition(".")
    return f"{package}.{inside.partition('.')[0]}"


def test_the_init_files_hold_names_only() -> None:
    for path in PACKAGE.rglob("*/__init__.py"):
        for node in ast.parse(path.read_text()).body:
            assert isinstance(node, (ast.ImportFrom, ast.Assign, ast.Expr)), path


def test_the_map_for_contributors_shows_every_package() -> None:
    page = (Path(__file__).parents[2] / ".github/CONTRIBUTING.md").read_text()
    rows = page.partition("| package |")[2].partition("\n\n")[0].splitlines()[2:]
    shown = {name for row in rows for name in re.findall("`([\\w.]+)`", row.split("|")[1])}
    assert shown == MAY_IMPORT.keys() | TOP


def test_what_is_exported_is_a_promise() -> None:
    assert sorted(docker_charon.__all__) == [
        "AuthenticationError",
        "BlobNotFound",
        "ConnectionFailed",
        "DeltaSummary",
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
        "ProgressEvent",
        "PushIncomplete",
        "RegistryError",
        "Server",
        "ServerError",
        "Summary",
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
