"""Namespaces: where a registry's repositories have moved to, by the beginnings of their names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from docker_charon.oci.host import host_in_front
from docker_charon.oci.reference import joined
from docker_charon.transfer.renaming.destinations import Destinations
from docker_charon.value import dataclass


@dataclass(frozen=True, slots=True)
class Move:
    """A repository with its name at the registry that it is from, and at the destination."""

    registry: str
    repository: str
    destination: str

    @property
    def old_name(self) -> str:
        """The name that nodes know: with its registry in front."""
        return f"{self.registry}/{self.repository}"


@dataclass(frozen=True, slots=True)
class Namespaces:
    """The moves from one registry, summed up.

    ``targets`` has a namespace of the destination for some namespaces of ``registry``, also for
    ``""``: all of it. A repository is in the longest of them that it begins with. ``moves`` are
    those of the payload, sorted by name.
    """

    registry: str
    targets: Mapping[str, str]
    moves: Sequence[Move]

    def target(self, repository: str) -> str:
        """Return where a repository is at the destination by ``targets``."""
        path = self.longest(repository)
        return joined(self.targets[path], repository[len(path) :].strip("/"))

    def longest(self, repository: str) -> str:
        """Return the longest namespace in ``targets`` that a repository is in."""
        return max((path for path in self.targets if is_below(repository, path)), key=len)

    @property
    def lost(self) -> list[Move]:
        """The moves that ``targets`` does not have: two repositories have the same old name."""
        return [move for move in self.moves if self.target(move.repository) != move.destination]


def is_below(repository: str, path: str) -> bool:
    """Whether a repository is ``path``, or in the namespace of this name; all are in ``""``."""
    return not path or f"{repository}/".startswith(f"{path}/")


def moved_namespaces(destinations: Destinations, repositories: Iterable[str]) -> list[Namespaces]:
    """Return the namespaces of each registry that repositories of a payload are from."""
    moves: dict[str, dict[str, Move]] = {}
    for name in sorted(set(repositories)):
        registry, repository = destinations.full_name(name)
        move = Move(registry, repository, destinations.repository(name))
        moves.setdefault(registry, {})[name] = move
    return [
        _summed_up(registry, tuple(moves[registry].values()), destinations)
        for registry in sorted(moves)
    ]


def _summed_up(registry: str, moves: Sequence[Move], destinations: Destinations) -> Namespaces:
    """Find namespaces for moves: those of the repository map, and what else the moves need."""
    targets = {
        path: destinations.namespace(registry, path)
        for path in ("", *_mapped_paths(registry, destinations.repository_map))
    }
    namespaces = Namespaces(registry, targets, moves)
    on_their_own: set[str] = set()
    while lost := [move for move in namespaces.lost if move.repository not in on_their_own]:
        for move in lost:
            if namespaces.target(move.repository) == move.destination:
                continue  # by what another move has added
            possible = dict(_possible_targets(move))
            path = next((path for path in possible if path not in targets), move.repository)
            targets[path] = possible[path]
            if path == move.repository:
                on_their_own.add(path)
    return namespaces


def _mapped_paths(registry: str, keys: Iterable[str]) -> Iterator[str]:
    """Yield the keys of a repository map that are namespaces of a registry, without its name."""
    for key in keys:
        if key != registry and is_below(key, registry):
            yield key[len(registry) + 1 :]
        elif not host_in_front(f"{key}/"):
            yield key


def _possible_targets(move: Move) -> Iterator[tuple[str, str]]:
    """Yield namespaces whose target would be right for a move, the largest first."""
    old, new = move.repository.split("/"), move.destination.split("/")
    same = 0
    while same < min(len(old), len(new)) and old[-1 - same] == new[-1 - same]:
        same += 1
    for count in range(same, -1, -1):
        yield "/".join(old[: len(old) - count]), "/".join(new[: len(new) - count])
