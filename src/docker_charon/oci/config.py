"""The config of an image (OCI image-spec 1.1): its platform, and the commands of its layers.

A config may be damaged, or belong to something else than an image: then nothing is known.
"""

from __future__ import annotations

from typing import Any

from docker_charon.oci.document import parse_json
from docker_charon.oci.platform import Platform
from docker_charon.value import dataclass


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """The platform of an image, and the commands that made its layers, in the layers' order.

    The platform is ``None``, and a command is ``""``, if the config does not have it.
    """

    platform: Platform | None = None
    commands: tuple[str, ...] = ()

    @classmethod
    def parse(cls, content: bytes) -> ImageConfig:
        """Parse the bytes of a config; a malformed config is an empty one."""
        try:
            document = parse_json(content)
        except ValueError:
            return cls()
        if not isinstance(document, dict):
            return cls()
        return cls(Platform.of(document), _commands(document.get("history")))


def _commands(history: Any) -> tuple[str, ...]:
    """Return ``created_by`` of the history entries that are not ``empty_layer``."""
    if not isinstance(history, list):
        return ()
    entries = [entry if isinstance(entry, dict) else {} for entry in history]
    commands = [
        entry.get("created_by") for entry in entries if entry.get("empty_layer") is not True
    ]
    return tuple(command if isinstance(command, str) else "" for command in commands)
