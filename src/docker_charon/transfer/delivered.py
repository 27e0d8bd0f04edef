"""What was delivered before, as the ledger, receipts and earlier payloads of one call say."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from docker_charon.errors import DockerCharonError
from docker_charon.oci.digest import Digest
from docker_charon.payload.file_object import PayloadSource
from docker_charon.transfer.naming.name_groups import NameGroup
from docker_charon.value import dataclass

if TYPE_CHECKING:
    from docker_charon.transfer.ledger_file import LedgerFile

# Modules that only some payloads need are imported there, so that the others start quickly.


@contextlib.contextmanager
def opened_ledger(
    ledger: str | os.PathLike[str] | None,
    receipts: list[PayloadSource],
    allowed_signers: str | os.PathLike[str] | None,
    *,
    read_only: bool,
) -> Iterator[LedgerFile | None]:
    """Open the ledger, if there is one; raises as `open_ledger` does, and for receipts without."""
    if ledger is None:
        if receipts:
            raise DockerCharonError(
                "a receipt corrects a ledger, and no ledger is given",
                hint="give the ledger of the site too",
            )
        yield None
        return
    from docker_charon.transfer.ledger_file import open_ledger

    with open_ledger(
        ledger, receipts, read_only=read_only, allowed_signers=allowed_signers
    ) as site:
        yield site


@dataclass(frozen=True, slots=True)
class Delivered:
    """What was delivered before: the blobs of all files, each with its repositories."""

    blobs: Mapping[Digest, Iterable[str]]
    payloads: Sequence[PayloadSource]
    site: LedgerFile | None
    allowed_signers: str | os.PathLike[str] | None

    @classmethod
    def of(
        cls,
        payloads: Sequence[PayloadSource],
        site: LedgerFile | None,
        allowed_signers: str | os.PathLike[str] | None,
        named: list[NameGroup],
    ) -> Delivered:
        """Read the ledger and earlier payloads.

        The names in the payloads are added to ``named``, except for those in an inventory.
        """
        repositories: dict[Digest, dict[str, None]] = {}
        if site is not None:
            repositories = {d: dict.fromkeys(names) for d, names in site.ledger.blobs.items()}
        if payloads:
            from docker_charon.payload.reader import open_payload
            from docker_charon.transfer.ledger import names_in
        for file in payloads:
            with open_payload(file, allowed_signers=allowed_signers) as payload:
                # A destination's own names may begin with a registry: a push tries both meanings.
                if payload.registries or not payload.carries_nothing:
                    named.append(names_in(payload, str(getattr(file, "name", file))))
                for digest, repository in payload.delivered():
                    repositories.setdefault(digest, {})[repository] = None
        return cls(repositories, payloads, site, allowed_signers)
