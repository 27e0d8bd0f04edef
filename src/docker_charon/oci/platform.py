"""A platform: what an image runs on (OCI image-spec 1.1, index), matched as containerd does."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from docker_charon.errors import InvalidPlatform
from docker_charon.messages import one_line
from docker_charon.value import dataclass

_PART = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"
_OTHER_OS = {"macos": "darwin"}
_OTHER_ARCHITECTURE = {
    "aarch64": ("arm64", None),
    "armhf": ("arm", "v7"),
    "armel": ("arm", "v6"),
    "i386": ("386", None),
    "x86_64": ("amd64", None),
    "x86-64": ("amd64", None),
}
_DEFAULT_VARIANT = {"amd64": "v1", "arm": "v7", "arm64": "v8"}
_NUMBERED = r"v?([0-9]{1,2})"


@dataclass(frozen=True, slots=True)
class Platform:
    """What an image runs on: ``os/architecture[/variant]``, and the version of the system.

    ``variant`` and ``os_version`` are ``None`` if they are not given.
    """

    os: str
    architecture: str
    variant: str | None = None
    os_version: str | None = None

    @classmethod
    def parse(cls, text: str) -> Platform:
        """Parse ``OS/ARCH[/VARIANT][:VERSION]``; raise `InvalidPlatform` if it is something else.

        The version is that of Windows: ``windows/amd64:10.0.20348``.
        """
        name, colon, version = text.partition(":")
        parts = name.split("/")
        is_valid = len(parts) in (2, 3) and all(re.fullmatch(_PART, part) for part in parts)
        if not is_valid or (colon and not re.fullmatch(_PART, version)):
            hint = "write it as OS/ARCH or OS/ARCH/VARIANT, for example linux/arm64"
            if "," in text:
                hint = "write several platforms as a list, each on its own"
            raise InvalidPlatform(f"{text[:100]!r} is not a platform", hint=hint)
        return replace(cls(*parts), os_version=version or None).normalized

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Platform | None:
        """Return the platform in a descriptor's ``platform``, or in an image's config.

        It is ``None`` if ``os`` or ``architecture`` is missing, or if a member is not a string.
        """
        parts = [document.get(key) or "" for key in ("os", "architecture", "variant", "os.version")]
        if not all(isinstance(part, str) for part in parts) or not parts[0] or not parts[1]:
            return None
        return cls(parts[0], parts[1], parts[2] or None, parts[3] or None)

    @property
    def normalized(self) -> Platform:
        """The canonical form: ``aarch64`` becomes ``arm64``, and so on."""
        os, architecture = self.os.lower(), self.architecture.lower()
        variant = (self.variant or "").lower()
        architecture, implied = _OTHER_ARCHITECTURE.get(architecture, (architecture, None))
        variant = variant or implied or ""
        if architecture in _DEFAULT_VARIANT and (number := re.fullmatch(_NUMBERED, variant)):
            variant = f"v{number[1]}"
        if architecture == "arm":
            variant = variant or _DEFAULT_VARIANT["arm"]
        elif variant == _DEFAULT_VARIANT.get(architecture):
            variant = ""  # arm64/v8 is the same as arm64
        return Platform(_OTHER_OS.get(os, os), architecture, variant or None, self.os_version)

    @property
    def is_known(self) -> bool:
        """Whether it is a real platform; attestations have ``unknown/unknown``."""
        return self.os != "unknown"

    def distance(self, offered: Platform) -> int | None:
        """Return how far an image's platform is from this one; ``None`` if it does not run here.

        0 means the same platform. A processor also runs images for an earlier variant, such as
        ``arm/v6`` on ``arm/v7``: the result is then the difference of the variants' numbers. The
        image with the smallest distance fits best. If this platform has a version of the system, an
        image fits if its version begins with that one, or if it has none.
        """
        wanted, offered = self.normalized, offered.normalized
        if (wanted.os, wanted.architecture) != (offered.os, offered.architecture):
            return None
        versions = [f"{platform.os_version}." for platform in (offered, wanted)]
        has_versions = wanted.os_version and offered.os_version
        if has_versions and not versions[0].startswith(versions[1]):
            return None
        if wanted.variant == offered.variant:
            return 0
        own, other = wanted._generation, offered._generation
        return None if own is None or other is None or other > own else own - other

    @property
    def _generation(self) -> int | None:
        """The number of the variant; ``None`` if variants of this architecture have no numbers."""
        variant = self.variant or _DEFAULT_VARIANT.get(self.architecture, "")
        number = re.fullmatch(_NUMBERED, variant)
        return int(number[1]) if number and self.architecture in _DEFAULT_VARIANT else None

    @property
    def with_version(self) -> str:
        """The text that `parse` reads: with the version of the system, if it has one."""
        return f"{self}{f':{one_line(self.os_version)}' if self.os_version else ''}"

    def __str__(self) -> str:
        return one_line("/".join(p for p in (self.os, self.architecture, self.variant) if p))
