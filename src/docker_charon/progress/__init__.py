"""Progress: how far a transfer is, for people and for programs."""

from docker_charon.progress.event import ProgressArgument, ProgressEvent, check_progress
from docker_charon.progress.pause import paused
from docker_charon.progress.progress import Progress
from docker_charon.progress.quantity import counted, counts, shown_part, shown_size

__all__ = [
    "Progress",
    "ProgressArgument",
    "ProgressEvent",
    "check_progress",
    "counted",
    "counts",
    "paused",
    "shown_part",
    "shown_size",
]
