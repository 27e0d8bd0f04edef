"""The manifests of an index that platforms need: the nearest, or the first of equal ones."""

from __future__ import annotations

import json

import pytest

import images
from docker_charon import ManifestNotFound
from docker_charon.oci.descriptor import Descriptor
from docker_charon.oci.manifest import Manifest
from docker_charon.oci.platform import Platform
from docker_charon.transfer.platforms import Offer, choose, filter_index, offers
from images import image, index_of, layer

V5, V6, V7 = (image(layer(n), platform=f"linux/arm/v{n}") for n in (5, 6, 7))


def no_child(descriptor: Descriptor) -> Manifest:
    raise AssertionError(f"{descriptor.digest} is not needed")


def no_platform(descriptor: Descriptor) -> Platform | None:
    raise AssertionError(f"{descriptor.digest} tells its platform")


def offered(index: images.TestImage) -> list[Offer]:
    return offers(Manifest.parse(index.manifest), no_child, no_platform)


def chosen(index: images.TestImage, platform: str) -> str:
    [offer] = choose(offered(index), [Platform.parse(platform)], "app:1")
    return offer.descriptor.digest


@pytest.mark.parametrize("turned", [False, True], ids=["oldest first", "newest first"])
@pytest.mark.parametrize(
    ("platform", "nearest"),
    [("linux/arm/v8", V7), ("linux/arm", V7), ("linux/arm/v6", V6), ("linux/arm/v5", V5)],
)
def test_the_nearest_variant_is_chosen_whatever_the_order(
    platform: str, nearest: images.TestImage, turned: bool
) -> None:
    children = [("linux/arm/v5", V5), ("linux/arm/v6", V6), ("linux/arm/v7", V7)]
    index = index_of(dict(reversed(children) if turned else children))
    assert chosen(index, platform) == nearest.digest


def windows(*versions: str | None) -> images.TestImage:
    """Return an index for Windows, with an image for each version, and one for Linux."""
    document = json.loads(index_of({"linux/amd64": V7}).manifest)
    for number, version in enumerate(versions):
        platform = {"os": "windows", "architecture": "amd64"}
        platform |= {} if version is None else {"os.version": version}
        document["manifests"].append({**image(layer(number)).descriptor, "platform": platform})
    return images.TestImage(json.dumps(document).encode(), images.OCI_INDEX)


OLD, NEW, NEWER = "10.0.17763.6775", "10.0.20348.3091", "10.0.20348.4052"


@pytest.mark.parametrize(
    ("platform", "versions"),
    [
        ("windows/amd64", [OLD, NEW, None, NEWER]),
        ("windows/amd64:10.0.20348", [NEW, None, NEWER]),
        ("windows/amd64:10.0.17763.6775", [OLD, None]),
        ("windows/amd64:10.0.2", [None]),
    ],
)
def test_the_images_for_all_versions_of_windows_that_fit_are_chosen(
    platform: str, versions: list[str | None]
) -> None:
    index = windows(OLD, NEW, None, NEW, NEWER)
    found = choose(offered(index), [Platform.parse(platform)], "app:1")
    assert [offer.platform.os_version for offer in found] == versions
    assert found[-1].descriptor.digest != image(layer(3)).digest


def test_a_version_of_windows_that_is_not_offered_is_told_with_those_that_are() -> None:
    message = rf"has no platform windows/amd64:10.0.1; it has linux/amd64, windows/amd64:{NEW}"
    with pytest.raises(ManifestNotFound, match=message):
        choose(offered(windows(NEW)), [Platform.parse("windows/amd64:10.0.1")], "app:1")


def test_the_first_of_equals_is_chosen() -> None:
    document = json.loads(index_of({"linux/arm/v7": V7}).manifest)
    again = {**V6.descriptor, "platform": images.platform_members("linux/arm/v7")}
    document["manifests"].append(again)
    index = images.TestImage(json.dumps(document).encode(), images.OCI_INDEX)
    assert chosen(index, "linux/arm/v7") == V7.digest


def test_a_newer_variant_does_not_run_on_an_older_processor() -> None:
    with pytest.raises(ManifestNotFound, match="has no platform linux/arm/v6; it has linux/arm/v7"):
        chosen(index_of({"linux/arm/v7": V7}), "linux/arm/v6")


def test_what_attests_is_never_offered_whatever_platform_it_claims() -> None:
    document = json.loads(index_of({"linux/arm/v7": V7}, "linux/arm/v7").manifest)
    attestation = document["manifests"].pop()
    attestation["platform"] = images.platform_members("linux/arm/v7")
    document["manifests"].insert(0, attestation)
    index = images.TestImage(json.dumps(document).encode(), images.OCI_INDEX)
    assert [offer.descriptor.digest for offer in offered(index)] == [V7.digest]


def test_what_is_left_of_an_index_keeps_its_order_its_members_and_its_attestations() -> None:
    index = index_of(
        {"linux/arm/v5": V5, "linux/arm/v6": V6, "linux/arm/v7": V7},
        *("linux/arm/v5", "linux/arm/v7"),
        annotations={"by": "us"},
    )
    manifest = Manifest.parse(index.manifest)
    [smaller] = filter_index(
        manifest, {child.digest for child in manifest.manifests[1:3]}, no_child
    )
    before, after = json.loads(index.manifest), json.loads(smaller.content)
    entries = before.pop("manifests")
    assert after.pop("manifests") == [entries[1], entries[2], entries[4]]
    assert after == before


def test_an_index_of_which_nothing_is_left_out_stays_as_it_is_to_the_byte() -> None:
    manifest = Manifest.parse(index_of({"linux/arm/v7": V7}, "linux/arm/v7").manifest)
    digests = {manifest.manifests[0].digest}
    assert [index.content for index in filter_index(manifest, digests, no_child)] == [
        manifest.content
    ]
