"""The event that a program gets as progress, and the argument ``progress`` of the functions."""

from __future__ import annotations

from collections.abc import Callable

from docker_charon.value import dataclass


@dataclass(frozen=True, slots=True)
class ProgressEvent:
    """How far a function is.

    ``phase`` is what it does now: ``asking`` registries, ``comparing`` layers with older ones,
    ``making`` or ``pushing`` a payload, ``looking`` at the images of a registry, ``verifying`` a
    payload or ``rebuilding`` its layers. The numbers count from 0 in each phase. Those that a phase
    does not count are 0, and all of them while registries are asked. A total may grow, for example
    if a registry refuses to mount a blob, which is then uploaded; and ``bytes_done`` may shrink if
    a part has to be transferred again.
    """

    phase: str
    bytes_done: int = 0
    bytes_total: int = 0
    blobs_done: int = 0
    blobs_total: int = 0
    images_done: int = 0
    images_total: int = 0


ProgressArgument = Callable[[ProgressEvent], object] | bool | None
"""``None`` shows a bar if standard error is a terminal. ``True`` also writes lines if it is not
one. ``False`` shows nothing. A callable gets events, and nothing is shown."""


def check_progress(progress: object) -> None:
    """Raise ``TypeError`` if ``progress`` is not a `ProgressArgument`."""
    if progress is not None and not isinstance(progress, bool) and not callable(progress):
        raise TypeError(
            "progress is None, True, False or a callable that takes a ProgressEvent, not "
            f"{type(progress).__name__}"
        )
