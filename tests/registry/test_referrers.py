"""The referrers of a manifest: a list without an end takes few requests and little memory."""

from __future__ import annotations

import json
import tracemalloc

import pytest

import images
from docker_charon.errors import ManifestNotFound
from docker_charon.oci.digest import Digest
from docker_charon.registry.access import Access
from docker_charon.registry.client import RegistryClient
from odd_registry import Answer, Call, OddRegistry


def page_of(count: int, text: str) -> bytes:
    descriptor = {
        "mediaType": images.OCI,
        "digest": images.digest_of(b""),
        "size": 2,
        "annotations": {"text": text},
    }
    return json.dumps({"manifests": [descriptor] * count}).encode()


@pytest.mark.parametrize(
    ("page", "most"),
    [(page_of(1, "x" * 8_000_000), 3), (page_of(1_000, ""), 11), (page_of(20_000, ""), 1)],
    ids=["large referrers", "many referrers", "many referrers at once"],
)
def test_pages_of_referrers_are_counted_while_they_come(page: bytes, most: int) -> None:
    def endless(call: Call) -> Answer:
        link = f"</v2/app/referrers/x?page={len(registry.calls)}>; rel=next"
        return Answer(200, page, {"Link": link, "Content-Type": images.OCI_INDEX})

    with (
        OddRegistry(endless) as registry,
        RegistryClient(registry.address, Access(secure=False)) as client,
    ):
        tracemalloc.start()
        with pytest.raises(ManifestNotFound, match="lists too much"):
            client.referrers("app", Digest.of(b""))
        assert tracemalloc.get_traced_memory()[1] < 200_000_000
        tracemalloc.stop()
    assert len(registry.calls) <= most
