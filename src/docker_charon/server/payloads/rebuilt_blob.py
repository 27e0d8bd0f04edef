"""A rebuilt blob: one that the payloads carry as a delta, and that is rebuilt when it is read."""

from __future__ import annotations

import contextlib
import shutil
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from docker_charon.deltas.extra import require_extra
from docker_charon.deltas.process import core_count
from docker_charon.errors import DeltaError, ServerError
from docker_charon.messages import get_logger
from docker_charon.oci.descriptor import Descriptor
from docker_charon.oci.digest import Digest
from docker_charon.payload.layer_deltas.rebuilt_blobs import BlobFiles
from docker_charon.payload.layer_deltas.recipe import Recipes
from docker_charon.payload.random_access import Extent, file_errors
from docker_charon.payload.temporary_folder import temporary_folder
from docker_charon.progress import counted, shown_size

_READ_SIZE = 256 * 1024

_log = get_logger(__name__)


class RebuiltBlobs:
    """The blobs that can be rebuilt from payloads; those read last are kept in ``folder``.

    Blobs that are not being read take at most half of the space that is free at the start. Raises
    `PayloadError` if the folder cannot be used.
    """

    def __init__(self, recipes: Recipes, folder: Path) -> None:
        with file_errors(f"cannot use {folder}"):
            self._most_unused = shutil.disk_usage(folder).free // 2
        self._files = BlobFiles(
            recipes, folder, most_unused=self._most_unused, check=self._check_not_ending
        )
        self._slots = threading.Semaphore(core_count())
        self._is_ending = threading.Event()
        self.by_digest: Mapping[Digest, RebuiltBlob] = {
            digest: RebuiltBlob(recipe.blob, self) for digest, recipe in recipes.by_digest.items()
        }
        _log.info(
            "%s can be rebuilt, each when it is first read; up to %s of them are kept in %s",
            counted(len(self.by_digest), "layer"),
            shown_size(self._most_unused),
            folder.parent,
        )

    @contextlib.contextmanager
    def file(self, blob: Descriptor) -> Iterator[Path]:
        """Yield a file with the content of a blob, which is rebuilt unless it exists.

        Raises `DeltaError` or `PayloadError` if it cannot be rebuilt, and `ServerError` when the
        server ends.
        """
        with contextlib.ExitStack() as stack:
            with self._slots:  # no more at a time than there are cores
                self._check_not_ending()
                self._files.most_at_once([blob], 1)
                path = stack.enter_context(self._files.file(blob.digest, blob.size))
            yield path

    def end(self) -> None:
        """Stop what is being rebuilt."""
        self._is_ending.set()

    def _check_not_ending(self) -> None:
        if self._is_ending.is_set():
            raise ServerError("the server is ending")


@dataclass(frozen=True, slots=True)
class RebuiltBlob:
    """A blob that is rebuilt when it is read. Its SHA-256 digest is checked then."""

    blob: Descriptor
    rebuilt_blobs: RebuiltBlobs

    @property
    def size(self) -> int:
        """Its size in bytes."""
        return self.blob.size

    def prepare(self) -> None:
        """Rebuild it unless that has been done; see `Blob.prepare`."""
        with self.rebuilt_blobs.file(self.blob):
            pass

    @contextlib.contextmanager
    def extent(self) -> Iterator[Extent | None]:
        """Yield where its bytes are."""
        with self.rebuilt_blobs.file(self.blob) as path, path.open("rb") as file:
            yield Extent(file.fileno(), 0, self.size)

    def chunks(self, start: int = 0) -> Iterator[bytes]:
        """Yield its bytes from ``start`` on."""
        with self.rebuilt_blobs.file(self.blob) as path, path.open("rb") as file:
            file.seek(start)
            while chunk := file.read(_READ_SIZE):
                yield chunk


@contextlib.contextmanager
def open_rebuilt_blobs(recipes: Recipes) -> Iterator[RebuiltBlobs | None]:
    """Yield the blobs that can be rebuilt, whose files are removed at the end.

    There are none without recipes, and none if the packages of ``docker-charon[deltas]`` are
    missing, which is logged.
    """
    try:
        if recipes.by_digest:
            require_extra()
    except DeltaError as error:
        _log.warning("%s cannot be served: %s", counted(len(recipes.by_digest), "layer"), error)
        yield None
        return
    if not recipes.by_digest:
        yield None
        return
    with temporary_folder() as folder:
        yield RebuiltBlobs(recipes, folder)
