"""The search for garbage in memory, which takes time and finds none in modules that are loaded."""

from __future__ import annotations

import gc


def pause() -> None:
    """Search for no garbage until `resume`."""
    gc.disable()


def resume() -> None:
    """Search for garbage again, but not among what is loaded now."""
    gc.freeze()
    gc.enable()


def stop() -> None:
    """Search for no garbage among what is loaded now; Python would do so before it exits."""
    gc.freeze()
