"""Groups of names: a name means the same in all of them, or it is refused."""

from __future__ import annotations

import pytest

from docker_charon import InvalidReference
from docker_charon.transfer.naming.name_groups import NameGroup, united_registries


def test_names_that_are_used_together_mean_the_same_everywhere() -> None:
    images = NameGroup("the list of images", {"quay.io/app", "app"}, {"quay.io"})
    earlier = NameGroup("old.zip", {"ghcr.io/app", "quay.io/other"}, {"ghcr.io", "quay.io"})
    assert united_registries([images, earlier]) == {"quay.io", "ghcr.io"}


@pytest.mark.parametrize("order", [1, -1])
def test_a_name_that_could_be_relative_or_full_is_refused(order: int) -> None:
    groups = [
        NameGroup("the list of images", {"app", "quay.io/app"}, ()),
        NameGroup("old.zip", {"quay.io/app"}, {"quay.io"}),
    ]
    with pytest.raises(InvalidReference) as caught:
        united_registries(groups[::order])
    assert caught.value.message == (
        "quay.io/app in the list of images is a repository of one registry, but quay.io is a "
        "registry in old.zip"
    )
