"""The check of the deltas in a payload: their headers, and whether they give their blobs."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack

from docker_charon.deltas.extra import require_extra
from docker_charon.deltas.process import core_count
from docker_charon.errors import DockerCharonError
from docker_charon.messages import get_logger
from docker_charon.oci.descriptor import Descriptor
from docker_charon.payload.archives.archive import Report
from docker_charon.payload.file_object import PayloadSource
from docker_charon.payload.layer_deltas.rebuilt_blobs import BlobFiles
from docker_charon.payload.layer_deltas.recipe import Recipes, recipes_in
from docker_charon.payload.reader import Payload, open_payload
from docker_charon.payload.temporary_folder import temporary_folder
from docker_charon.progress import Progress, ProgressArgument
from docker_charon.workers import Workers

_log = get_logger(__name__)


def check_deltas(payload: Payload, report: Report) -> None:
    """Report each delta whose header does not say the same as the payload and its manifests."""
    for recipe in recipes_in(payload):
        try:
            _ = recipe.header
        except DockerCharonError as error:
            report(error)


def rebuild_deltas(
    payload: Payload,
    earlier: Iterable[PayloadSource],
    report: Report,
    jobs: int,
    progress: ProgressArgument,
) -> None:
    """Rebuild all blobs that come as deltas, and report each that is not right.

    Their bases are in ``earlier`` payloads. A warning is logged for a blob whose bases are not.
    Raises `DeltaError` if nothing can be rebuilt here, and `PayloadError` if an earlier payload
    cannot be read.
    """
    require_extra()
    with ExitStack() as stack:
        payloads = [stack.enter_context(open_payload(file)) for file in earlier]
        recipes = Recipes([payload, *payloads], rebuilt=payload.deltas)
        blobs = []
        for recipe in recipes_in(payload):
            digest = recipe.blob.digest
            if recipes.has(digest):
                blobs.append(recipe.blob)
            else:
                _log.warning(
                    "%s is not rebuilt: none of the earlier payloads has %s",
                    digest,
                    " and ".join(recipes.missing(digest)[:3]),
                )
        if blobs:
            _rebuild(recipes, blobs, report, jobs, progress)


def _rebuild(
    recipes: Recipes, blobs: list[Descriptor], report: Report, jobs: int, progress: ProgressArgument
) -> None:
    good = []
    for blob in blobs:
        try:
            recipes.check(blob.digest)
            good.append(blob)
        except DockerCharonError as error:
            report(error)
    sizes = {blob.digest: blob.size for blob in good}
    with temporary_folder() as folder, Progress("rebuilding", sizes, {}, progress) as shown:
        files = BlobFiles(recipes, folder)
        workers = Workers(files.most_at_once(good, min(jobs, core_count())))
        files.check = workers.check

        def rebuild(blob: Descriptor) -> None:
            try:
                with files.file(blob.digest, blob.size):
                    shown.moved(blob.size)
                    shown.finished(blob.digest)
            except DockerCharonError as error:
                report(error)

        workers.map(rebuild, good)
