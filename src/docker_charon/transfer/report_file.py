"""The report of a transfer for programs: a JSON document, and the same as log lines.

The keys and the values of ``status`` and ``state`` do not change; new keys may be added::

    {"version": 1,
     "command": "make-payload" or "push-payload",
     "status": "done", "incomplete" (images were left out or have failed) or "failed",
     "error": TEXT, or null,
     "registry": HOST, or several with commas between them, "registries": [HOST, ...],
     "payload": PATH or null, "delivery": its number in a ledger or null,
     "dry_run": BOOLEAN, "seconds": NUMBER,
     "bytes": {"payload": of the file that was made, or null for a push,
               "transferred": carried in the payload, or uploaded,
               "already_there": that the destination had},
     "images": [{"name": NAME, "digest": DIGEST or null,
                 "state": "new", "already_there", "left_out" or "failed",
                 "reason": TEXT, or null, "size": of the image with its referrers, in bytes,
                 "destination": its name in the registry, for a push}]}

When a payload is made, an image is ``already_there`` if the payload carries only manifests of it.
"""

from __future__ import annotations

import contextlib
import enum
import json
import os
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docker_charon.errors import DockerCharonError, PayloadError
from docker_charon.files import write_beside
from docker_charon.messages import get_logger
from docker_charon.oci.digest import Digest
from docker_charon.oci.image import PayloadImage
from docker_charon.payload.file_object import PayloadSource, PayloadTarget
from docker_charon.payload.format.contents import Contents
from docker_charon.payload.random_access import file_errors
from docker_charon.progress import counted
from docker_charon.transfer.named_files import checked_target
from docker_charon.transfer.plan import RepositoryBlob
from docker_charon.value import dataclass

if TYPE_CHECKING:
    from docker_charon.payload.reader import Payload
    from docker_charon.transfer.renaming.destinations import Destinations

VERSION = 1

log = get_logger(__name__)
"""Its ``INFO`` lines say for each image what the progress and the results of a command show."""


class State(str, enum.Enum):
    """What has become of an image."""

    NEW = "new"
    ALREADY_THERE = "already_there"
    LEFT_OUT = "left_out"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class ImageReport:
    """What has become of one image, and why if it is not at ``destination``; sizes in bytes.

    ``state`` is ``None`` until that is known.
    """

    name: str
    digest: str | None
    state: State | None = None
    reason: str | None = None
    size: int = 0
    destination: str | None = None

    @classmethod
    def of(cls, image: PayloadImage, state: State | None = None) -> ImageReport:
        """Return the report of an image whose manifests are known, or not."""
        parts = {m.digest: len(m.content) for graph in image.known_graphs for m in graph.manifests}
        parts |= {blob.digest: blob.size for graph in image.known_graphs for blob in graph.blobs}
        digest = image.image.root.digest if image.image is not None else None
        return cls(image.name, digest, state, size=sum(parts.values()))


class TransferReport:
    """The report of one transfer, which is filled in while it goes on; sizes in bytes."""

    def __init__(
        self, command: str, registries: Iterable[str], payload: str | None, *, dry_run: bool
    ) -> None:
        self.command = command
        self.registries = tuple(registries)
        self.payload = payload
        self.dry_run = dry_run
        self.images: dict[str, ImageReport] = {}
        self.error: str | None = None
        self.delivery: int | None = None
        self.payload_size: int | None = None
        self.transferred = 0
        self.already_there = 0
        self.seconds = 0.0

    def made(self, contents: Contents, size: int, left_out: Mapping[str, str]) -> None:
        """Fill in what a payload of ``size`` bytes carries, and why it lacks other images."""
        carried = {*(blob.digest for blob in contents.blobs), *contents.deltas}
        self.images = {}
        for image in contents.images:
            is_new = any(blob.digest in carried for blob in image.blobs)
            self.images[image.name] = ImageReport.of(image, None if is_new else State.ALREADY_THERE)
        for name, reason in left_out.items():
            self.images[name] = ImageReport(name, None, State.LEFT_OUT, reason)
        self.payload_size = size
        self.transferred, self.already_there = contents.carried_size, contents.saved_size
        self.delivery = None if contents.delivery is None else contents.delivery.number

    def pushing(self, payload: Payload, destinations: Destinations) -> None:
        """Fill in the images of a payload that is going to be pushed."""
        images = {image.name: image for image in payload.all_images}
        self.images = {
            name: replace(
                ImageReport.of(images[name]),
                destination=str(destinations.of(images[name]).reference),
            )
            for name in payload.names
        }
        self.delivery = None if payload.delivery is None else payload.delivery.number

    def set_state(self, name: str, state: State, reason: str | None = None) -> None:
        """Set what has become of an image."""
        self.images[name] = replace(self.images[name], state=state, reason=reason)

    def pushed(
        self,
        images: Iterable[PayloadImage],
        uploaded: Iterable[RepositoryBlob],
        non_distributable: Collection[Digest],
    ) -> None:
        """Fill in how many bytes were uploaded, and how many of the images were there already.

        A blob that was uploaded to several repositories counts for each; a blob that was there
        counts once.
        """
        uploaded = list(uploaded)
        sizes = {blob.digest: blob.size for image in images for blob in image.blobs}
        present = sizes.keys() - {upload.digest for upload in uploaded} - set(non_distributable)
        self.transferred = sum(upload.blob.size for upload in uploaded)
        self.already_there = sum(sizes[digest] for digest in present)

    @property
    def registry(self) -> str:
        """The registries as text."""
        return ", ".join(self.registries)

    @property
    def status(self) -> str:
        """``done``, ``incomplete`` or ``failed``."""
        if self.error is not None:
            return "failed"
        states = {image.state for image in self.images.values()}
        return "incomplete" if states & {State.LEFT_OUT, State.FAILED} else "done"

    def end(self, seconds: float, error: str | None = None) -> None:
        """Record how long it took, and ``error`` if it has failed.

        Images of which nothing else is known have failed too; otherwise they are new.
        """
        self.seconds, self.error = seconds, error
        state = State.NEW if error is None else State.FAILED
        for image in list(self.images.values()):
            if image.state is None:
                self.set_state(image.name, state, error)

    def as_json(self) -> dict[str, Any]:
        """Return the document."""
        return {
            "version": VERSION,
            "command": self.command,
            "status": self.status,
            "error": self.error,
            "registry": self.registry,
            "registries": list(self.registries),
            "payload": self.payload,
            "delivery": self.delivery,
            "dry_run": self.dry_run,
            "seconds": round(self.seconds, 3),
            "bytes": {
                "payload": self.payload_size,
                "transferred": self.transferred,
                "already_there": self.already_there,
            },
            "images": [
                {
                    "name": image.name,
                    "digest": image.digest,
                    "state": image.state,
                    "reason": image.reason,
                    "size": image.size,
                    **({"destination": image.destination} if image.destination else {}),
                }
                for image in self.images.values()
            ],
        }

    def log(self) -> None:
        """Log the same at level ``INFO``."""
        for image in self.images.values():
            reason = "" if image.reason is None else f": {image.reason}"
            log.info(
                "%s, %s, %s bytes, %s%s",
                image.name,
                image.digest or "digest unknown",
                f"{image.size:,}",
                "" if image.state is None else image.state.value.replace("_", " "),
                reason,
            )
        log.info(
            "%s %s, %s: %s, %s bytes transferred, %s bytes already there, in %.1f seconds%s",
            self.command,
            self.status,
            self.registry,
            counted(len(self.images), "image"),
            f"{self.transferred:,}",
            f"{self.already_there:,}",
            self.seconds,
            "" if self.error is None else f": {self.error}",
        )


@contextlib.contextmanager
def reporting(
    path: str | os.PathLike[str] | None,
    command: str,
    registries: Iterable[str],
    payload: PayloadSource | PayloadTarget,
    *,
    dry_run: bool,
    names: Mapping[str, object] | None = None,
) -> Iterator[TransferReport]:
    """Yield the report of a transfer; log it, and write it to ``path``, whatever happens.

    ``names`` are the images of a transfer that may fail before more is known of them. Raises
    `PayloadError` before the transfer if the directory of ``path`` does not exist.
    """
    target = None if path is None else checked_target(path, "report")
    payload_path = os.fspath(payload) if isinstance(payload, (str, os.PathLike)) else None
    report = TransferReport(command, registries, payload_path, dry_run=dry_run)
    report.images = {name: ImageReport(name, None) for name in names or ()}
    started = time.monotonic()
    try:
        yield report
    except BaseException as error:
        report.end(time.monotonic() - started, _reason(error))
        with contextlib.suppress(PayloadError):  # the failure of the transfer is more important
            _publish(report, target)
        raise
    report.end(time.monotonic() - started)
    _publish(report, target)


def _reason(error: BaseException) -> str:
    if isinstance(error, DockerCharonError):
        return str(error)
    return (
        f"an unexpected {type(error).__name__}" if isinstance(error, Exception) else "interrupted"
    )


def _publish(report: TransferReport, target: Path | None) -> None:
    """Log a report, and write it to a file if there is one."""
    report.log()
    if target is not None:
        content = json.dumps(report.as_json(), indent=2).encode() + b"\n"
        with file_errors(f"cannot write the report {target}"):
            write_beside(target, content)
