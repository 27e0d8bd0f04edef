"""Pushing a payload: the images in a zip are written to a registry."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from itertools import chain

from docker_charon.errors import DockerCharonError, PushIncomplete, RegistryError
from docker_charon.messages import argument, get_logger
from docker_charon.payload.file_object import PayloadSource
from docker_charon.payload.reader import open_payload
from docker_charon.payload.signature.signature import sign as sign_text
from docker_charon.progress import Progress, ProgressArgument, check_progress
from docker_charon.registry.access import Access, waiting_for
from docker_charon.registry.certificates import CertificateArgument
from docker_charon.registry.client import open_registry
from docker_charon.transfer.log_lines import log_unused_rules
from docker_charon.transfer.named_files import refuse_replacing
from docker_charon.transfer.push_steps import PushSteps
from docker_charon.transfer.receipt import writing_receipt
from docker_charon.transfer.renaming.destinations import Destinations
from docker_charon.transfer.renaming.mirror_files import MirrorFiles
from docker_charon.transfer.report_file import reporting
from docker_charon.value import dataclass
from docker_charon.workers import Workers

_log = get_logger(__name__)


def push_payload_to_registry(
    registry: str,
    zip_file: PayloadSource,
    strict: bool = False,
    secure: bool = True,
    username: str | None = None,
    password: str | None = None,
    *,
    repository_prefix: str = "",
    repository_map: Mapping[str, str] | None = None,
    mirrors: str | Iterable[str] = (),
    mirrors_dir: str | os.PathLike[str] = ".",
    skip_referrers: bool = False,
    allowed_signers: str | os.PathLike[str] | None = None,
    cacert: str | os.PathLike[str] | None = None,
    cert: CertificateArgument | None = None,
    anonymous: bool = False,
    retry_for: float = 300,
    receipt: str | os.PathLike[str] | None = None,
    sign: str | os.PathLike[str] | None = None,
    report: str | os.PathLike[str] | None = None,
    dry_run: bool = False,
    jobs: int = 4,
    progress: ProgressArgument = None,
) -> list[str]:
    """Push the images of a payload to a registry.

    The payload is checked, and the registry is asked what it has, before anything is written. Tags
    are set last, so that no tag ever points to an incomplete image; then the registry is asked
    again for each of them. If the registry refuses an image, all others are pushed all the same.

    Args:
        registry: The registry to push to: ``host`` or ``host:port``.
        zip_file: The payload: a path, or a file object opened for reading bytes, which stays open.
            A file object that cannot seek is copied to a temporary file first. The path of a
            payload in volumes is ``PATH``, ``PATH.001`` or ``PATH.volumes.json``.
        strict: Raise an error if the registry lacks something that was given as already
            transferred when the payload was made. Otherwise the images that need it are left out,
            each with a ``UserWarning``.
        secure: ``False`` for a registry on plain HTTP.
        username: The user of a registry that requires a login.
        password: The password of that user. Without both, the logins of Docker or Podman are used.
        repository_prefix: Put before every repository: ``my-image:1`` arrives as
            ``PREFIX/my-image:1``. The returned names do not have it.
        repository_map: What takes the place of the beginning of names: with ``{"quay.io":
            "mirror/quay"}``, ``quay.io/team/app`` becomes ``mirror/quay/team/app``. The longest key
            that fits whole parts of a name counts; the registry in front may be left out in it.
            Keys with ``docker.io`` are for names without a registry. An empty value leaves out that
            part. The registry of any other name is left out.
        mirrors: Also write the configuration that makes nodes find the images under their old
            names: ``"containerd"`` (``HOST/hosts.toml``), ``"registries.conf"`` (Podman and CRI-O)
            or ``"k3s"`` (``registries.yaml``), or several of them. It is written if no image has
            failed.
        mirrors_dir: The directory of these files.
        skip_referrers: Leave out the signatures, SBOMs and other referrers in the payload.
        allowed_signers: A file of allowed signers, as ssh-keygen(1) describes it. The payload must
            be signed by one of them, who is logged at level ``INFO``. This is checked first.
        cacert: A file of certificates (PEM, or one in DER) to trust besides the usual ones.
        cert: A client certificate: one PEM file that also holds its key, or a pair of the
            certificate's file and the key's. Without it, the one in Docker's or Podman's
            ``certs.d`` folder of the registry is used.
        anonymous: ``True`` does not log in, even if Docker or Podman have stored a login.
        retry_for: How many seconds an operation waits for a registry that is away or asks for a
            wait. With 0, it is tried again within seconds, or not at all if it asks for a wait.
        receipt: The path of a file to write about what the registry has of this payload and what it
            lacks, also after a failure. `make_payload` corrects a ledger by it.
        sign: Sign the receipt with this SSH key, as `make_payload` signs a payload.
        report: The path of a JSON file to write about what happened, also after a failure: images,
            digests, bytes, seconds. The same is logged at level ``INFO``.
        dry_run: Only log what would be done, at level ``INFO``. Nothing is written.
        jobs: The number of questions, uploads or mounts at the same time.
        progress: As in `make_payload`.

    Returns:
        The names of the images that the registry has now: ``docker_images_to_transfer`` of the
        payload, in that order and spelling, without the images that were left out.

    Raises:
        PayloadError: The payload cannot be read, is incomplete, or is not signed by an allowed
            signer; or ``receipt`` or ``report`` cannot be written, or would replace another file.
        DigestMismatch: The payload is damaged.
        ManifestNotFound: With ``strict``: an image that should be there is missing or different.
        BlobNotFound: With ``strict``: a blob that should be there is missing.
        PushIncomplete: Some images or referrers could not be pushed, for example because a tag is
            immutable or a blob in the payload is damaged. All others have been pushed.
        RegistryError: The registry cannot be reached, or refuses everything. If the payload has a
            single image that cannot be pushed, the error is the reason itself.
        DockerCharonError: Any other failure; all errors above are subclasses of it.
    """
    pushed = push_payload(
        registry,
        zip_file,
        Access(secure, username, password, cacert, cert, anonymous, retry=waiting_for(retry_for)),
        strict=strict,
        repository_prefix=repository_prefix,
        repository_map=repository_map,
        mirrors=mirrors,
        mirrors_dir=mirrors_dir,
        skip_referrers=skip_referrers,
        allowed_signers=allowed_signers,
        receipt=receipt,
        sign=sign,
        report=report,
        dry_run=dry_run,
        jobs=jobs,
        progress=progress,
        warning_level=3,
    )
    if pushed.incomplete is not None:
        raise pushed.incomplete
    return [*pushed.destinations]


@dataclass(frozen=True, slots=True)
class Pushed:
    """The images of a push, by the names that the user gave.

    ``destinations`` are the images that the registry has now, each with its name there, which may
    differ if ``has_new_names``. ``left_out`` are those that need something that the registry lacks,
    each with the reason. ``incomplete`` has those that could not be pushed, if there are any.
    """

    destinations: Mapping[str, str]
    has_new_names: bool
    left_out: Mapping[str, RegistryError]
    incomplete: PushIncomplete | None


def push_payload(
    registry: str,
    zip_file: PayloadSource,
    access: Access,
    *,
    strict: bool,
    repository_prefix: str,
    repository_map: Mapping[str, str] | None,
    mirrors: str | Iterable[str],
    mirrors_dir: str | os.PathLike[str],
    skip_referrers: bool,
    allowed_signers: str | os.PathLike[str] | None,
    receipt: str | os.PathLike[str] | None,
    sign: str | os.PathLike[str] | None,
    report: str | os.PathLike[str] | None,
    dry_run: bool,
    jobs: int,
    progress: ProgressArgument,
    warning_level: int = 2,
) -> Pushed:
    """Push as `push_payload_to_registry` does, and also return what was left out or has failed.

    ``warning_level`` is the number of calls between a warning and the code that it is for.
    """
    check_progress(progress)
    workers = Workers(jobs)
    wanted = Destinations.checked(repository_prefix, repository_map, registry)
    mirror_files = MirrorFiles(mirrors, mirrors_dir, registry, secure=access.secure)
    if receipt is not None and dry_run:
        raise DockerCharonError(
            "a dry run writes no receipt", hint="push first, or leave the receipt out"
        )
    if sign is not None and receipt is None:
        raise DockerCharonError("a push signs its receipt", hint="name a file for the receipt")
    refuse_replacing(
        {"the receipt": receipt, "the report": report},
        {
            "the payload": [zip_file],
            "the key to sign with": [sign],
            "the file of allowed signers": [allowed_signers],
            "a file of certificates": access.files,
        },
    )
    signer = None if sign is None else partial(sign_text, key=sign)
    with (
        reporting(report, "push-payload", [registry], zip_file, dry_run=dry_run) as written_report,
        open_payload(zip_file, allowed_signers=allowed_signers) as payload,
    ):
        destinations = replace(wanted, registries=payload.registries)
        written_report.pushing(payload, destinations)
        destinations.check_tags(payload.all_images)
        repositories = [image.reference.repository for image in payload.all_images]
        expected = chain.from_iterable(payload.at_destination.values())
        log_unused_rules(destinations, chain(repositories, expected))
        mirror_files.plan(destinations, repositories)
        with (
            writing_receipt(receipt, payload, registry, destinations, signer) as written_receipt,
            open_registry(registry, access, jobs) as client,
        ):
            if payload.carries_nothing:
                _log.warning(
                    "the payload carries nothing to push: it is an inventory, or all its images "
                    "were given as already transferred; give an inventory to %s",
                    argument(
                        "make-payload --already-transferred-payload",
                        "make_payload(payloads_already_transferred=)",
                    ),
                )
            push = PushSteps(
                client,
                payload,
                destinations,
                workers,
                written_report,
                written_receipt,
                with_referrers=not skip_referrers,
            )
            with Progress("asking", {}, {}, progress, note=registry):
                push.ask_registry()
            for error in push.errors.values():
                if strict:
                    raise error
                warnings.warn(f"left out: {error}", UserWarning, stacklevel=warning_level)
            incomplete = None
            if dry_run:
                push.log()
            else:
                incomplete = push.write(progress)
            mirror_files.end(push.errors, incomplete, dry_run=dry_run)
            failed = incomplete.failed if incomplete is not None else ()
            names = {n: d for n, d in push.destinations.items() if n not in failed}
            return Pushed(names, destinations.change_names, push.errors, incomplete)
