"""The index of an image layout: ``index.json``, which lists the images.

What other tools have written there is kept: entries without an image name, and unknown members.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from docker_charon.errors import DockerCharonError, ServerError
from docker_charon.messages import get_logger
from docker_charon.oci.descriptor import Descriptor
from docker_charon.oci.document import parse_json
from docker_charon.oci.manifest import encode_index
from docker_charon.oci.reference import Reference
from docker_charon.payload.format.index import REF_NAME
from docker_charon.server.manifest import StoredManifest

_log = get_logger(__name__)


@dataclass
class LayoutIndex:
    """The images of a layout by name: ``repository:tag``, or ``repository@digest``.

    A name without a tag means ``latest``. ``named`` has the references and descriptors by name.
    ``others`` are entries that are only kept; ``unnamed`` are the descriptors of those that have no
    name, such as referrers. ``members`` are the other members of the document.
    """

    named: dict[str, tuple[Reference, Descriptor]] = field(default_factory=dict)
    others: list[Any] = field(default_factory=list)
    members: dict[str, Any] = field(default_factory=dict)
    raw: dict[str, Any] = field(default_factory=dict)
    """The entries by name, as they were read."""
    unnamed: list[Descriptor] = field(default_factory=list)

    @classmethod
    def parse(cls, content: bytes, path: str) -> LayoutIndex:
        """Parse ``index.json``; raise `ServerError` if it is not the index of a layout.

        ``path`` names the file in messages.
        """
        try:
            members = parse_json(content)
        except ValueError as error:
            raise ServerError(f"{path} is not JSON that can be read: {error}") from None
        entries = members.pop("manifests", None) if isinstance(members, dict) else None
        if not isinstance(entries, list):
            raise ServerError(f"{path} is not the index of an image layout")
        index = cls(members=members)
        for entry in entries:
            try:
                descriptor = Descriptor.parse(entry, "an entry")
                if REF_NAME not in descriptor.annotations:
                    index.unnamed.append(descriptor)
                    index.others.append(entry)
                    continue
                reference = Reference.parse(descriptor.annotations[REF_NAME])
            except DockerCharonError as error:
                _log.warning("an entry of %s is not served: %s", path, error)
                index.others.append(entry)
                continue
            name = _name(reference)
            if name in index.named:
                _log.warning("%s has %s twice: the last one is served", path, name)
                index.others.append(index.raw[name])
            index.named[name], index.raw[name] = (reference, descriptor), entry
        return index

    def copy(self) -> LayoutIndex:
        """Return a second index with the same entries."""
        return replace(self, named=dict(self.named), raw=dict(self.raw))

    def put(self, name: str, manifest: StoredManifest) -> None:
        """List a manifest under a name, in place of the entry that has this name."""
        descriptor = Descriptor(manifest.media_type, manifest.digest, manifest.size)
        current = self.named[name][1] if name in self.named else None
        if current and (current.digest, current.media_type) == (
            descriptor.digest,
            descriptor.media_type,
        ):
            return  # the entry stays, with what other tools have added to it
        self.named[name] = Reference.parse(name), descriptor
        self.raw.pop(name, None)

    def encode(self) -> bytes:
        """Return the bytes of ``index.json``."""
        return encode_index([*self.others, *map(self._entry, self.named)], self.members)

    def _entry(self, name: str) -> Any:
        descriptor = self.named[name][1]
        return self.raw.get(name) or descriptor.as_json(annotations={REF_NAME: name})


def _name(reference: Reference) -> str:
    if reference.tag is not None:
        return f"{reference.repository}:{reference.tag}"
    return f"{reference.repository}@{reference.digest}"
