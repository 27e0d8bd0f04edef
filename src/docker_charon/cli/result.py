"""The result of a push: names on standard output, failures on standard error, and a status."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docker_charon.cli import terminal
from docker_charon.messages import say

if TYPE_CHECKING:
    from docker_charon.transfer.push import Pushed


def report_push(pushed: Pushed, *, with_new_names: bool) -> int:
    """Print which images the registry has, and which could not be pushed; return the exit status.

    ``with_new_names`` prints the names that the images have in the registry, if they may differ.
    """
    with_new_names &= pushed.has_new_names
    names = list(pushed.destinations.values() if with_new_names else pushed.destinations)
    if names:
        terminal.print_data("\n".join(names))
    if pushed.incomplete is not None:
        for name, error in pushed.incomplete.errors.items():
            say(f"{name}: {error}")
        say(pushed.incomplete.summary)
        return terminal.FAILED
    return terminal.LEFT_OUT if pushed.left_out else 0
