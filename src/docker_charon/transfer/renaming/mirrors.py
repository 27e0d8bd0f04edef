"""Mirrors: the texts that make nodes find the images of a payload under their old names.

References: ``docs/hosts.md`` of containerd, containers-registries.conf(5), and "Private Registry
Configuration" in the documentation of K3s.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from docker_charon.errors import DockerCharonError
from docker_charon.oci.reference import checked_names, joined
from docker_charon.transfer.renaming.mirror_file import MirrorFile
from docker_charon.transfer.renaming.namespaces import Move, Namespaces, is_below
from docker_charon.transfer.renaming.repository_map import DOCKER_HUB_NAME
from docker_charon.value import dataclass


@dataclass(frozen=True, slots=True)
class Mirror:
    """The registry that has the images now."""

    registry: str
    secure: bool

    @property
    def url(self) -> str:
        """Its address."""
        return f"{'https' if self.secure else 'http'}://{self.registry}"

    def at(self, path: str) -> str:
        """Return a namespace of it, with its own name in front."""
        return joined(self.registry, path)


@dataclass(frozen=True, slots=True)
class Configuration:
    """The files for one kind of nodes, and the moves that these nodes cannot follow with them."""

    files: tuple[MirrorFile, ...]
    lost: tuple[Move, ...]


def checked_kinds(kinds: str | Iterable[str]) -> list[str]:
    """Return kinds of nodes, each once; raise `DockerCharonError` if one is not in ``KINDS``."""
    names = checked_names([kinds] if isinstance(kinds, str) else kinds, "mirrors")
    unique = list(dict.fromkeys(names))
    for kind in unique:
        if kind not in KINDS:
            raise DockerCharonError(
                f"there is no mirror configuration of the kind {kind!r}",
                hint=f"choose from {', '.join(KINDS)}",
            )
    return unique


def configuration(kind: str, mirror: Mirror, registries: Sequence[Namespaces]) -> Configuration:
    """Return the configuration for one of ``KINDS``."""
    return _CONFIGURATIONS[kind](mirror, registries)


def _containerd(mirror: Mirror, registries: Sequence[Namespaces]) -> Configuration:
    """Return a ``hosts.toml`` for each registry.

    containerd can put a path before a name, and it asks one host after the other: the mirror is a
    host for each path that is needed. In the end containerd asks the registry itself.
    """
    files: list[MirrorFile] = []
    lost: list[Move] = []
    taken = {move.destination for namespaces in registries for move in namespaces.moves}
    for namespaces in registries:
        needed = {path for path in map(_path_before, namespaces.moves) if path is not None}
        paths = dict.fromkeys([namespaces.targets[""], *sorted(needed)])
        for move in namespaces.moves:
            asked = [joined(path, move.repository) for path in paths]
            if next((name for name in asked if name in taken), None) != move.destination:
                lost.append(move)
        hosts = "\n".join(_containerd_host(mirror, path) for path in paths)
        files.append(
            MirrorFile(
                f"{_directory(namespaces.registry)}/hosts.toml",
                {namespaces.registry: hosts},
                "For containerd: copy its directory to the config_path, for example to "
                "/etc/containerd/certs.d.",
            )
        )
    return Configuration(tuple(files), tuple(lost))


def _containerd_host(mirror: Mirror, path: str) -> str:
    """Return a table of ``hosts.toml``; ``/v2`` is only added to an address without a path."""
    address = f"{mirror.url}/v2/{path}" if path else mirror.url
    override = "  override_path = true\n" if path else ""
    return f'[host."{address}"]\n  capabilities = ["pull", "resolve"]\n{override}'


def _path_before(move: Move) -> str | None:
    """Return the path that stands before the old name at the destination, if it is kept."""
    before, found, _ = f"/{move.destination}".rpartition(f"/{move.repository}")
    is_kept = found and f"/{move.destination}".endswith(f"/{move.repository}")
    return before.strip("/") if is_kept else None


def _directory(registry: str) -> str:
    """Return the name of containerd's directory for a registry, in a form for every system."""
    name, colon, port = registry.rpartition(":")
    return f"{name}_{port}_" if colon and port.isdigit() else registry


def _registries_conf(mirror: Mirror, registries: Sequence[Namespaces]) -> Configuration:
    """Return a ``registries.conf``; the longest prefix of a name counts."""
    insecure = "" if mirror.secure else "insecure = true\n"

    def table(registry: str, path: str, target: str) -> str:
        name = joined(registry, path)
        return (
            f'[[registry]]\nprefix = "{name}"\nlocation = "{name}"\n\n'
            f'[[registry.mirror]]\nlocation = "{mirror.at(target)}"\n{insecure}'
        )

    sections = {
        namespaces.registry: "\n".join(
            table(namespaces.registry, path, target)
            for path, target in sorted(namespaces.targets.items())
        )
        for namespaces in registries
    }
    file = MirrorFile(
        "registries.conf",
        sections,
        "For Podman and CRI-O: copy it to /etc/containers/registries.conf, or into "
        "/etc/containers/registries.conf.d.",
        {DOCKER_HUB_NAME: f'unqualified-search-registries = ["{DOCKER_HUB_NAME}"]\n'},
    )
    return Configuration((file,), _lost(registries))


def _k3s(mirror: Mirror, registries: Sequence[Namespaces]) -> Configuration:
    """Return a ``registries.yaml``.

    K3s tries the rewrites of a registry in no particular order until one of them changes the name.
    So there is at most one that fits.
    """
    sections = {}
    for namespaces in registries:
        lines = [f'  "{namespaces.registry}":', "    endpoint:", f'      - "{mirror.url}"']
        rewrites = [f"      '{old}': '{new}'" for old, new in _rewrites(namespaces)]
        sections[namespaces.registry] = "".join(
            f"{line}\n" for line in (*lines, *(["    rewrite:", *rewrites] if rewrites else []))
        )
    file = MirrorFile(
        "registries.yaml",
        sections,
        "For K3s and RKE2: copy it to /etc/rancher/k3s or /etc/rancher/rke2, and restart them.",
        {"": "mirrors:\n"},
        is_indented=True,
    )
    return Configuration((file,), _lost(registries))


def _rewrites(namespaces: Namespaces) -> Iterator[tuple[str, str]]:
    """Yield rewrites: regular expressions, each with what replaces the name.

    One is for a whole namespace, unless there is another namespace in it: then the repositories
    that the payload has of it are named, each with its own.
    """
    for path, target in sorted(namespaces.targets.items()):
        has_others = any(other != path and is_below(other, path) for other in namespaces.targets)
        if not has_others and path != target:
            yield f"^{_escaped(joined(path, '(.*)'))}$", joined(target, "$1")
        for move in namespaces.moves:
            is_named = has_others or move.repository == path
            if is_named and namespaces.longest(move.repository) == path:
                new_name = namespaces.target(move.repository)
                if new_name != move.repository:
                    yield f"^{_escaped(move.repository)}$", new_name


def _escaped(name: str) -> str:
    """Return a regular expression; of the characters in names only the dot has a meaning there."""
    return re.sub(r"\.(?!\*)", r"\\.", name)


def _lost(registries: Iterable[Namespaces]) -> tuple[Move, ...]:
    return tuple(move for namespaces in registries for move in namespaces.lost)


_CONFIGURATIONS: Mapping[str, Callable[[Mirror, Sequence[Namespaces]], Configuration]] = {
    "containerd": _containerd,
    "registries.conf": _registries_conf,
    "k3s": _k3s,
}
KINDS = tuple(_CONFIGURATIONS)
"""The kinds of nodes: containerd, those that read ``registries.conf``, and K3s."""
