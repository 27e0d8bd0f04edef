"""The keys of deliveries and receipts in a payload: written and read again, or refused."""

from __future__ import annotations

from typing import Any

import pytest

from docker_charon import DockerCharonError
from docker_charon.oci.digest import Digest
from docker_charon.payload.format.delivery import Arrival, Delivery, MissingImage

A, B = Digest.of(b"a"), Digest.of(b"b")
LEDGER = Delivery(2, A, {A: 1, B: 2}, (None, A), frozenset({1}))


@pytest.mark.parametrize("delivery", [LEDGER, Delivery(1, None), Delivery(7, B, {A: 3})])
def test_a_delivery_is_read_as_it_was_written(delivery: Delivery) -> None:
    assert Delivery.parse(delivery.as_json()) == delivery


def test_an_arrival_is_read_as_it_was_written() -> None:
    missing = {"app:1": MissingImage(A, "it was refused"), "old:1": MissingImage(None, "")}
    arrival = Arrival("registry.lan", {B: ("app", "team/other")}, missing)
    assert Arrival.parse(arrival.as_json()) == arrival


@pytest.mark.parametrize(
    "change",
    [
        {"number": None},
        {"number": True},
        {"number": -1},
        {"number": "9" * 10},
        {"previous": "sha256:0"},
        {"brought": []},
        {"brought": {"one": [A]}},
        {"brought": {"1": A}},
        {"brought": {"1": [["a"]]}},
        {"history": [None]},
        {"history": {}},
        {"history": [None, 3]},
        {"arrived": 1},
        {"arrived": ["one"]},
    ],
    ids=str,
)
def test_what_is_no_delivery_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(DockerCharonError):
        Delivery.parse({**LEDGER.as_json(), **change})


@pytest.mark.parametrize(
    "change",
    [
        {"registry": None},
        {"missing_blobs": [A]},
        {"missing_blobs": {A: "app"}},
        {"missing_blobs": {A: [1]}},
        {"missing_blobs": {A: ["../app"]}},
        {"missing_blobs": {"a": ["app"]}},
        {"missing_images": []},
        {"missing_images": {"app:1": "gone"}},
        {"missing_images": {"app:1": {"digest": "a", "reason": "gone"}}},
        {"missing_images": {"app:1": {"digest": A}}},
    ],
    ids=str,
)
def test_what_is_no_arrival_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(DockerCharonError):
        Arrival.parse({**Arrival("registry.lan").as_json(), **change})


@pytest.mark.parametrize("value", [None, [], "ledger", 1])
def test_anything_but_an_object_is_refused(value: Any) -> None:
    for kind in (Delivery, Arrival, MissingImage):
        with pytest.raises(DockerCharonError, match="is not a JSON object"):
            kind.parse(value)
