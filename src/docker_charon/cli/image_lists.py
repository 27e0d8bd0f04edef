"""The names of images in files: those that are taken, and messages about all that is not."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from docker_charon.cli.text_file import shown_name, text_in
from docker_charon.messages import get_logger
from docker_charon.progress import counted

if TYPE_CHECKING:
    from docker_charon.lists.image_list import ImageList

MOST_WARNINGS = 50
"""How many values that are passed over are named, for each file."""
_log = get_logger(__name__)


def names_in(files: Iterable[str]) -> list[str]:
    """Read the names of images from files (see `read_images`); ``-`` is standard input.

    What is taken from a file that is not a plain list is logged, and so is what is passed over.
    """
    return [name for file in files for name in _names_in_file(file)]


def _names_in_file(file: str) -> list[str]:
    from docker_charon.lists.file import read_images  # most commands name their images themselves

    images = read_images(text_in(file, "the images"), shown_name(file))
    _log_what_was_read(shown_name(file), images)
    return images.names


def _log_what_was_read(file: str, images: ImageList) -> None:
    if images.formats:
        counts = [f"{counted(len(images.names), 'image')} from {file}"]
        counts += [f"{len(images.passed_over):,} passed over"] if images.passed_over else []
        counts[0] += f" ({', '.join(images.formats)})"
        _log.info("%s", ", ".join(counts))
    for passed in images.passed_over[:MOST_WARNINGS]:
        value = f": {passed.value}" if passed.value else ""
        _log.warning("%s, line %d%s is passed over: %s", file, passed.line, value, passed.reason)
    if (more := len(images.passed_over) - MOST_WARNINGS) > 0:
        _log.warning("%s: %s passed over", file, f"{more:,} more values are")
