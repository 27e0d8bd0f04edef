"""Which blobs can be rebuilt from which payloads, and in which order."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from delta_payloads import payload_with_deltas, release, update, version
from docker_charon import PayloadError
from docker_charon.oci.digest import Digest
from docker_charon.payload.layer_deltas.recipe import Recipes, recipes_in
from docker_charon.payload.reader import Payload, open_payload
from images import image, layer
from payloads import changed, payload_of

V1, V2, V3, V4 = (version(n) for n in (1, 2, 3, 4))


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def payloads(stack: ExitStack, *contents: bytes) -> list[Payload]:
    return [stack.enter_context(open_payload(io.BytesIO(content))) for content in contents]


def first() -> bytes:
    return payload_of({"app:1": release(1)})


def order(recipes: Recipes, content: bytes, *made: bytes) -> list[str]:
    return [r.blob.digest for r in recipes.order(Digest.of(content), {Digest.of(m) for m in made})]


def test_bases_come_before_what_is_rebuilt_from_them(opened: ExitStack) -> None:
    recipes = Recipes(payloads(opened, update(4), update(2), first(), update(3)))
    assert order(recipes, V4) == [Digest.of(v) for v in (V2, V3, V4)]
    assert order(recipes, V4, V2) == [Digest.of(V3), Digest.of(V4)]
    assert order(recipes, V1) == []
    assert recipes.missing(Digest.of(V4)) == []


def test_what_no_payload_has_is_named(opened: ExitStack) -> None:
    recipes = Recipes(payloads(opened, update(4), update(3)))
    assert not recipes.has(Digest.of(V4))
    assert recipes.missing(Digest.of(V4)) == [Digest.of(V2)]
    assert order(recipes, V4) == []


def test_blobs_from_elsewhere_count_and_are_preferred(opened: ExitStack) -> None:
    recipes = Recipes(payloads(opened, update(4), update(3), update(2)), {Digest.of(V3)})
    assert order(recipes, V4) == [Digest.of(V4)]
    assert not recipes.has(Digest.of(V2))


def test_the_delta_that_is_possible_is_taken(opened: ExitStack) -> None:
    other = payload_with_deltas({"app:3": image(V3)}, {V3: [V1]})
    recipes = Recipes(payloads(opened, update(3), other, first()))
    [recipe] = recipes.order(Digest.of(V3))
    assert recipe.delta.bases.keys() == {Digest.of(V1)}


def test_what_is_to_be_rebuilt_is_not_taken_whole(opened: ExitStack) -> None:
    whole = payload_of({"app:2": release(2), "app:1": release(1)})
    opened_payloads = payloads(opened, update(2), whole)
    assert order(Recipes(opened_payloads), V2) == []
    assert order(Recipes(opened_payloads, rebuilt={Digest.of(V2)}), V2) == [Digest.of(V2)]


def test_deltas_in_a_circle_are_missing_each_other(opened: ExitStack) -> None:
    there = payload_with_deltas({"app:2": image(V2)}, {V2: [V3]})
    back = payload_with_deltas({"app:3": image(V3)}, {V3: [V2]})
    recipes = Recipes(payloads(opened, there, back))
    assert not recipes.by_digest
    assert recipes.missing(Digest.of(V2)) == [Digest.of(V3)]


def test_a_long_chain_takes_linear_time(opened: ExitStack) -> None:
    """With a search that tries each way, thirty pairs would take hours."""
    layers = [layer(n, 10) for n in range(60)]
    wanted = {f"app:{n}": image(content) for n, content in enumerate(layers)}
    deltas = {layers[n]: [layers[n - 1], layers[n - 2]] for n in range(2, 60)}
    contents = dict.fromkeys(deltas, b"not looked at")
    payload = payload_with_deltas(wanted, deltas, contents_of_deltas=contents)
    recipes = Recipes(payloads(opened, payload))
    assert order(recipes, layers[59]) == [Digest.of(content) for content in layers[2:]]


@pytest.mark.parametrize("key", ["size", "digest"])
def test_a_header_that_names_other_bases_is_refused(opened: ExitStack, key: str) -> None:
    def change(document: dict[str, dict[str, dict[str, dict[str, dict[str, int]]]]]) -> None:
        bases = document["layer_deltas"][Digest.of(V2)]["bases"]
        if key == "size":
            bases[Digest.of(V1)]["size"] += 1
        else:
            bases[Digest.of(V3)] = bases.pop(Digest.of(V1))

    [payload] = payloads(opened, changed(io.BytesIO(update(2)), change).getvalue())
    [recipe] = recipes_in(payload)
    with pytest.raises(PayloadError, match="other bases than the payload"):
        _ = recipe.header
