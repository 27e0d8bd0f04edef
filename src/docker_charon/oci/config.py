"""The config of an image: its platform, and the command that made each layer (OCI image-spec 1.1).

A config may be damaged or belong to something else than an image. What it does not say is unknown.
"""

from __future__ import annotations

from typing import Any

from docker_charon.oci.document import parse_json
from docker_charon.oci.platform import Platform
from docker_charon.value import dataclass


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """What a config says. ``commands`` are those that made the layers, by their position.

    A command that is unknown is ``""``.
    """

    platform: Platform | None = None
    commands: tuple[str, ...] = ()

    @classmethod
    def parse(cls, content: bytes) -> ImageConfig:
        """Parse a config; one that is malformed says nothing."""
        try:
            document = parse_json(content)
        except ValueError:
            return cls()
        if not isinstance(document, dict):
            return cls()
        return cls(Platform.of(document), _commands(document.get("history")))


def _commands(history: Any) -> tuple[str, ...]:
    """Return ``created_by`` of the steps that made a layer."""
    if not isinstance(history, list):
        return ()
    steps = [step if isinstance(step, dict) else {} for step in history]
    commands = [step.get("created_by") for step in steps if step.get("empty_layer") is not True]
    return tuple(command if isinstance(command, str) else "" for command in commands)
