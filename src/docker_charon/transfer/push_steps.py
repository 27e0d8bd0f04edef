"""The steps of a push: the registry is asked, the rest is planned, and what it lacks is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

from docker_charon.errors import DockerCharonError, PushIncomplete, RegistryError
from docker_charon.oci.image import PayloadImage, SkippedImage
from docker_charon.payload.reader import Payload
from docker_charon.progress import Progress, ProgressArgument
from docker_charon.registry.client import RegistryClient
from docker_charon.transfer.blobs import BlobSender
from docker_charon.transfer.layer_deltas.rebuilding import Rebuilding
from docker_charon.transfer.log_lines import log_push, push_summary
from docker_charon.transfer.manifests import ManifestSender
from docker_charon.transfer.outcome import Outcome, Part, parts_of
from docker_charon.transfer.plan import PushPlan, plan_push
from docker_charon.transfer.receipt import Receipt
from docker_charon.transfer.renaming.destinations import Destinations
from docker_charon.transfer.report_file import State, TransferReport
from docker_charon.transfer.survey import Survey
from docker_charon.workers import Workers

_PayloadImage = TypeVar("_PayloadImage", bound=PayloadImage)


class PushSteps:
    """One push: `ask_registry`, and then `log` or `write`.

    Each step works on the images that no earlier step has left out. What becomes of each image goes
    to ``report`` and ``receipt``.
    """

    def __init__(
        self,
        client: RegistryClient,
        payload: Payload,
        destinations: Destinations,
        workers: Workers,
        report: TransferReport,
        receipt: Receipt,
        *,
        with_referrers: bool,
    ) -> None:
        self._client = client
        self._payload = payload
        self._workers = workers
        self._report = report
        self._receipt = receipt

        def at_destination(image: _PayloadImage) -> _PayloadImage:
            image = destinations.of(image)
            return image if with_referrers else replace(image, referrers=())

        self._skipped = [at_destination(image) for image in payload.skipped]
        self._images = [*(at_destination(image) for image in payload.images), *self._skipped]
        self._survey = Survey(client, payload, destinations, workers)
        self._rebuilding = Rebuilding(client, payload, self._survey.bases)
        self._plan = PushPlan((), (), {})
        self.errors: dict[str, RegistryError] = {}
        """Why images are left out, by their names."""
        receipt.knows = self._survey.knows

    @property
    def _remaining(self) -> list[PayloadImage]:
        """The images that are not left out: those that the payload carries, then the skipped."""
        return [image for image in self._images if image.name not in self.errors]

    @property
    def destinations(self) -> dict[str, str]:
        """The names at the destination of the images that are not left out, in their order."""
        references = {image.name: str(image.reference) for image in self._remaining}
        return {name: references[name] for name in self._payload.names if name in references}

    def ask_registry(self) -> None:
        """Ask what the registry has, plan the rest, and find the images that it cannot get."""
        self.errors |= self._survey.missing_images(self._skipped)
        images = self._remaining
        holders = self._survey.holders(images)
        self._rebuilding.ask(digest for digest, names in holders.items() if not names)
        self._plan = plan_push(
            images,
            self._rebuilding.available,
            holders,
            self._payload.non_distributable,
            self._survey.unknown,
        )
        for name, blobs in self._plan.missing.items():
            whole = [blob for blob in blobs if blob.digest not in self._payload.deltas]
            without_base = {b.digest: self._rebuilding.missing(b.digest) for b in blobs}
            self.errors[name] = (
                self._survey.incomplete(name, whole)
                if whole
                else self._survey.without_bases(name, without_base)
            )
        self._rebuilding.check(self._plan)
        self._record(State.LEFT_OUT, self.errors)
        for image in self._remaining:
            if isinstance(image, SkippedImage):
                self._arrived(image.name, is_new=False)

    def log(self) -> None:
        """Log what `write` would do."""
        self._rebuilding.log(self._plan)
        log_push(self._plan, self._present_parts())

    def _present_parts(self) -> dict[Part, bool]:
        """Return for each image and referrer whether it is there already under its name."""
        parts = parts_of(self._remaining)
        roots = [(part.reference, part.graph.root) for part in parts]
        return dict(zip(parts, self._workers.map(self._survey.has_manifest, roots), strict=True))

    def write(self, progress: ProgressArgument) -> PushIncomplete | None:
        """Send the blobs, put the manifests and set the tags; return what has failed of it."""
        images, plan, names = self._remaining, self._plan, list(self.destinations)
        sizes = {upload: upload.blob.size for upload in plan.uploads}
        sizes |= {mount.target: 0 for mount in plan.mounts}  # a mount transfers no bytes
        outcome = Outcome(self._client, parts_of(images))
        with Progress("pushing", sizes, dict.fromkeys(names), progress) as shown_progress:
            for image in images:
                if isinstance(image, SkippedImage):
                    shown_progress.complete(image.name)

            def arrived(name: str, is_new: bool) -> None:
                self._arrived(name, is_new=is_new)
                shown_progress.complete(name)

            blobs = BlobSender(
                self._client,
                self._payload,
                self._rebuilding,
                self._workers,
                shown_progress,
                outcome,
                self._survey.doubtful,
            )
            lost = self._rebuilding.lost
            self._receipt.knows = lambda b: (
                blobs.has_stored(b) or (b.digest not in lost and self._survey.knows(b))
            )
            try:
                with self._rebuilding.ready(plan, self._workers, shown_progress):
                    blobs.send(plan)
                    ManifestSender(self._client, self._workers, outcome, blobs, arrived).put_all()
            finally:
                self._report.pushed(images, blobs.uploaded, self._payload.non_distributable)
            incomplete = outcome.incomplete(names)
            if incomplete is None:
                sizes_done = self._report.transferred, self._report.already_there
                shown_progress.sum_up(push_summary(images, len(self.errors), *sizes_done))
            else:
                self._record(State.FAILED, incomplete.failed)
        return incomplete

    def _arrived(self, name: str, *, is_new: bool) -> None:
        """Record that the registry has an image."""
        self._receipt.arrived.add(name)
        self._report.set_state(name, State.NEW if is_new else State.ALREADY_THERE)

    def _record(self, state: State, errors: Mapping[str, DockerCharonError]) -> None:
        """Record why the registry does not have images."""
        for name, error in errors.items():
            self._receipt.reasons[name] = str(error)
            self._report.set_state(name, state, str(error))
