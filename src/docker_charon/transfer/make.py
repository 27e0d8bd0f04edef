"""Making a payload: images are read from one or several registries and written to one zip."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Callable, Iterable
from functools import partial

from docker_charon.errors import AuthenticationError
from docker_charon.messages import argument
from docker_charon.oci.platform import Platform
from docker_charon.payload.file_object import PayloadSource, PayloadTarget, checked_sources
from docker_charon.payload.unreadable_blobs import UnreadableBlobs
from docker_charon.progress import ProgressArgument, check_progress
from docker_charon.registry.access import Access, waiting_for
from docker_charon.registry.certificates import CertificateArgument
from docker_charon.transfer.delivered import Delivered, opened_ledger
from docker_charon.transfer.make_steps import MakeSteps, Output
from docker_charon.transfer.named_files import (
    check_payload_target,
    checked_target,
    refuse_replacing,
)
from docker_charon.transfer.naming.chosen_tags import checked_newest
from docker_charon.transfer.naming.name_groups import united_registries
from docker_charon.transfer.naming.references import checked_hosts
from docker_charon.transfer.naming.wanted_images import WantedImages
from docker_charon.transfer.report_file import reporting
from docker_charon.transfer.resolve import Resolver
from docker_charon.transfer.summary import Summary
from docker_charon.workers import Workers

# Modules that only some payloads need are imported there, so that the others start quickly.


def make_payload(
    registry: str | None,
    zip_file: PayloadTarget,
    docker_images_to_transfer: Iterable[str],
    docker_images_already_transferred: Iterable[str] = (),
    secure: bool = True,
    username: str | None = None,
    password: str | None = None,
    *,
    payloads_already_transferred: Iterable[PayloadSource] = (),
    ledger: str | os.PathLike[str] | None = None,
    receipts: Iterable[PayloadSource] = (),
    platforms: Iterable[str] | None = None,
    newest: int | None = None,
    include_referrers: bool = False,
    layer_deltas: bool = False,
    volume_size: int | str | None = None,
    sign: str | os.PathLike[str] | None = None,
    allowed_signers: str | os.PathLike[str] | None = None,
    cacert: str | os.PathLike[str] | None = None,
    cert: CertificateArgument | None = None,
    anonymous: bool = False,
    insecure_registries: Iterable[str] = (),
    retry_for: float = 300,
    report: str | os.PathLike[str] | None = None,
    lock: str | os.PathLike[str] | None = None,
    keep_going: bool = False,
    dry_run: bool = False,
    jobs: int = 4,
    progress: ProgressArgument = None,
) -> Summary:
    """Create a payload, a single zip file, from Docker images of one or several registries.

    Args:
        registry: The registry to pull the images from: ``host`` or ``host:port``. ``None`` means
            that each name says which registry it is from, by Docker's rule: the first part is a
            registry if it has a dot or a colon or is ``localhost``, and without one it is Docker
            Hub.
        zip_file: The file to write: a path, or a file object opened for writing bytes, which stays
            open and does not need to seek. A path gets the whole payload or stays unchanged. An
            interrupted call leaves what it fetched in ``PATH.partial``, and the next call uses it.
        docker_images_to_transfer: The images: ``repository[:tag][@digest]``. The name of
            ``registry`` may stand before it, and is left out in the payload. The tag may also be a
            choice of tags: a pattern (``my-image:1.8.*``) or a range of versions
            (``my-image:>=1.8,<2``, ``~1.8``, ``^1.8``), which becomes the tags that the registry
            has now. A range takes no pre-releases and no variants such as ``-alpine``, unless its
            bounds have them (``>=1.8-rc1``, ``>=1.8-alpine``).
        docker_images_already_transferred: Images that the air-gapped registry has. Blobs that they
            share with the other images are left out. An image in both lists is not carried, but
            the push checks that it is there. Their tags are looked up in the registry now.
        secure: ``False`` for registries on plain HTTP.
        username: The user of ``registry``, or of Docker Hub if all images are from there.
        password: The password of that user. Without both, the logins of Docker or Podman are used,
            which are kept for each registry.
        payloads_already_transferred: Payloads that were pushed to the air-gapped registry, or
            inventories of it (see `make_inventory`): paths, or file objects that can seek. Blobs
            that they list are left out, even if a tag in the registry has moved since.
        ledger: The path of a file that says what the air-gapped registry has after all deliveries.
            What it lists is left out. When the payload is complete, the file is replaced by one
            that also lists what the payload brings. The first time it does not need to exist. An
            inventory of the registry may take its place at any time.
        receipts: What `push_payload_to_registry` wrote as ``receipt`` for earlier payloads of this
            ledger: paths, or file objects that can seek, in any order. What is missing according to
            them counts as not delivered. Give the receipts of this site only: those of another site
            with the same deliveries cannot be told from them.
        platforms: The platforms to carry, each ``os/architecture[/variant]``. One platform is
            carried as its own image, several as a new index of these platforms. ``None`` carries
            every platform. Of Windows, every version is carried, unless ``:version`` follows:
            ``windows/amd64:10.0.20348``.
        newest: Of each choice of tags among the images to transfer, carry only this many of the
            highest versions. Pre-releases, variants and other tags count only if the pattern
            spells them out (``my-image:1.8.*-rc*``, ``my-image:*-alpine``).
        include_referrers: Also carry signatures, SBOMs and other artifacts that refer to the
            images.
        layer_deltas: Carry layers as their difference to older layers that the air-gapped registry
            has, where this saves at least a fifth of their size; they are rebuilt byte for byte by
            the push. Up to three older layers are fetched for each new one, from earlier payloads
            or ``registry``. This takes time, 300 MB of memory for each of at most ``jobs``
            processes, temporary files in ``PATH.partial.deltas``, and the packages of
            ``docker-charon[deltas]`` on both sides.
        volume_size: Write the payload in volumes of this size, ``PATH.001``, ``PATH.002``, ... with
            the list ``PATH.volumes.json``: a number of bytes, or text as ``"4G"``, ``"4.7GB"`` or
            ``"700MiB"``. 4 GiB is one byte less, which FAT32 can hold.
        sign: Sign the payload with this key: the file of a private SSH key, or of a public one
            whose private one an agent has. ``ssh-keygen`` (OpenSSH) asks for a passphrase if the
            key has one. The ledger is signed with it too.
        allowed_signers: A file of allowed signers, as ssh-keygen(1) describes it. The ledger, the
            receipts and the earlier payloads must each be signed by one of them.
        cacert: A file of certificates (PEM, or one in DER) to trust besides the usual ones.
        cert: A client certificate: one PEM file that also holds its key, or a pair of the
            certificate's file and the key's. Without it, the one in Docker's or Podman's
            ``certs.d`` folder of the registry is used.
        anonymous: ``True`` does not log in, even if Docker or Podman have stored a login.
        insecure_registries: The registries on plain HTTP, if the others use HTTPS.
        retry_for: How many seconds an operation waits for a registry that is away or asks for a
            wait. With 0, it is tried again within seconds, or not at all if it asks for a wait.
        report: The path of a JSON file to write about what happened, also after a failure: images,
            digests, bytes, seconds. The same is logged at level ``INFO``.
        lock: The path of a list to write when the payload is complete: the full names of the
            images with the digests that they have at the source, one on a line. A payload of this
            list has the same images, even if tags have moved since.
        keep_going: Leave out images that cannot be read, each with a ``UserWarning``, and make the
            payload of the others. The registries are asked for every blob before the first one is
            fetched. A blob that turns out to be damaged later leaves out its images as well, unless
            ``zip_file`` is not a path, or the payload is written in volumes: then its beginning may
            be on its way already.
        dry_run: Only log what would be carried, at level ``INFO``. No layer is fetched and nothing
            is written.
        jobs: The number of blobs or manifests that are fetched at the same time.
        progress: ``None`` shows a bar if standard error is a terminal, or in a notebook. ``True``
            also writes lines if it is neither. ``False`` shows nothing. A callable gets a
            `ProgressEvent` up to ten times a second, and nothing is shown. It is called from other
            threads, but never twice at the same time. If it raises an exception, that is logged,
            and it is not called again.

    Returns:
        What the payload carries, or would carry with ``dry_run``.

    Raises:
        InvalidReference: The name of an image or of a registry is not valid, or an earlier payload
            or the ledger uses it in another way.
        InvalidPlatform: The name of a platform is not valid.
        ManifestNotFound: The registry does not have an image, or not for a platform. With
            ``keep_going``, no image can be read, or one that was already transferred cannot.
        RegistryError: A registry cannot be reached, refuses, or sends wrong content.
        PayloadError: ``zip_file``, ``report`` or ``lock`` cannot be written or would replace
            another file of this call, an earlier payload cannot be read, a receipt does not belong
            to the ledger, or another call is using the ledger.
        DockerCharonError: Any other failure; all errors above are subclasses of it.
    """
    check_progress(progress)
    if layer_deltas:
        from docker_charon.deltas.extra import require_extra

        require_extra()
    wanted = WantedImages.of(
        *(registry, docker_images_to_transfer, docker_images_already_transferred),
        secure=secure,
        insecure=checked_hosts(insecure_registries, "insecure_registries"),
    )
    if wanted.are_of_named_registries and (username is not None or password is not None):
        raise AuthenticationError(
            "a username and a password are those of one registry, and none is named",
            hint=f"name it with {argument('--registry', 'registry=')}, or log in to each one with "
            "docker login",
        )
    newest = checked_newest(newest, wanted.to_transfer)
    chosen_platforms = _parse_platforms(platforms)
    checked_volume_size = _parse_volume_size(volume_size)
    workers = Workers(jobs)
    earlier_payloads = checked_sources(payloads_already_transferred, "payloads_already_transferred")
    returned_receipts = checked_sources(receipts, "receipts")
    access = Access(
        secure, username, password, cacert, cert, anonymous, retry=waiting_for(retry_for)
    )
    refuse_replacing(
        {"the new payload": zip_file, "the report": report, "the lock": lock},
        {
            "the ledger": [ledger],
            "an earlier payload": earlier_payloads,
            "a receipt": returned_receipts,
            "the key to sign with": [sign],
            "the file of allowed signers": [allowed_signers],
            "a file of certificates": access.files,
        },
        in_volumes=[] if checked_volume_size is None else ["the new payload"],
    )
    lock_file = None if lock is None else checked_target(lock, "lock")
    if not dry_run:
        check_payload_target(zip_file, "payload")
    output = Output(
        zip_file,
        checked_volume_size,
        _signer(sign),
        lock_file,
        layer_deltas=layer_deltas,
        dry_run=dry_run,
    )
    with contextlib.ExitStack() as stack:
        written_report = stack.enter_context(
            reporting(
                *(report, "make-payload", wanted.registries, zip_file),
                dry_run=dry_run,
                names=wanted.to_transfer,
            )
        )
        site = stack.enter_context(
            opened_ledger(ledger, returned_receipts, allowed_signers, read_only=dry_run)
        )
        named = wanted.groups
        if site is not None:
            named.append(site.ledger.names(f"the ledger {ledger}"))
        delivered = Delivered.of(earlier_payloads, site, allowed_signers, named)
        registries = united_registries(named)
        sources = stack.enter_context(wanted.sources(access, jobs, registries))
        resolver = Resolver(sources, workers, chosen_platforms, keep_going=keep_going)
        steps = MakeSteps(
            *(wanted, delivered, registries, resolver, workers, output, written_report, progress),
            include_referrers=include_referrers,
        )
        steps.ask_registries(newest)
        while True:
            for name, error in steps.new_failures().items():
                warnings.warn(f"left out: {name}: {error}", UserWarning, stacklevel=2)
            try:
                return steps.make()
            except UnreadableBlobs as unreadable:
                steps.leave_out(unreadable)


def _parse_platforms(platforms: Iterable[str] | None) -> list[Platform]:
    """Return the platforms to carry; an empty list means all of them."""
    if platforms is None:
        return []
    from docker_charon.transfer.platforms import parse_platforms

    return parse_platforms(platforms)


def _signer(key: str | os.PathLike[str] | None) -> Callable[[bytes], bytes] | None:
    """Return what signs a text with a key, if there is one."""
    if key is None:
        return None
    from docker_charon.payload.signature.signature import sign

    return partial(sign, key=key)


def _parse_volume_size(size: int | str | None) -> int | None:
    """Return the size of volumes in bytes; ``None`` for a single file."""
    if size is None:
        return None
    from docker_charon.payload.volumes.volume_size import checked_size, parse_size

    if isinstance(size, str):
        return parse_size(size)
    if type(size) is not int:
        raise TypeError(f"volume_size is an int or a str, not {type(size).__name__}")
    return checked_size(size)
