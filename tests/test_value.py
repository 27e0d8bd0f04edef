"""Values behave as the standard library's dataclasses do: every test runs with both."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import pytest

from docker_charon import value


@dataclasses.dataclass(frozen=True, slots=True)
class StandardParcel:
    """A parcel, as Python makes it."""

    owner: str
    weight: int = 1
    marks: Mapping[str, str] = dataclasses.field(default_factory=dict, hash=False)
    secret: str = dataclasses.field(default="", repr=False)
    note: str = dataclasses.field(default="", compare=False)
    label: str = dataclasses.field(init=False, repr=False)
    kinds: ClassVar[list[str]] = ["parcel"]

    def __post_init__(self) -> None:
        object.__setattr__(self, "label", self.owner.upper())


@value.dataclass(frozen=True, slots=True)
class Parcel:
    """A parcel, as `value` makes it."""

    owner: str
    weight: int = 1
    marks: Mapping[str, str] = dataclasses.field(default_factory=dict, hash=False)
    secret: str = dataclasses.field(default="", repr=False)
    note: str = dataclasses.field(default="", compare=False)
    label: str = dataclasses.field(init=False, repr=False)
    kinds: ClassVar[list[str]] = ["parcel"]

    def __post_init__(self) -> None:
        object.__setattr__(self, "label", self.owner.upper())


@value.dataclass(frozen=True, slots=True)
class Letter(Parcel):
    """A parcel with one more field."""

    stamp: str = "blue"


@dataclasses.dataclass(frozen=True, slots=True)
class StandardLetter(StandardParcel):
    """A parcel with one more field, as Python makes it."""

    stamp: str = "blue"


both = pytest.mark.parametrize("kind", [Parcel, StandardParcel, Letter, StandardLetter])
Kind = Callable[..., Any]


@both
def test_arguments_are_given_by_position_or_by_name_or_have_defaults(kind: Kind) -> None:
    assert kind("ann", 2) == kind(weight=2, owner="ann") != kind("ann")
    assert (kind("ann").weight, kind("ann").marks, kind("ann").secret) == (1, {}, "")
    assert kind("ann").marks is not kind("ann").marks
    assert kind("ann").label == "ANN"


@both
@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((), {}),
        ((), {"weight": 1}),
        (("ann",), {"owner": "ben"}),
        (("ann",), {"size": 1}),
        (("ann",), {"label": "ben"}),
        (("ann", 1, {}, "", "", "blue", "red"), {}),
    ],
)
def test_wrong_arguments_are_refused(kind: Kind, arguments: Any, named: Any) -> None:
    with pytest.raises(TypeError):
        kind(*arguments, **named)


@both
def test_equal_values_are_of_one_class_and_equal_in_the_compared_fields(kind: Kind) -> None:
    assert kind("ann", note="x") == kind("ann", note="y")
    assert hash(kind("ann", note="x")) == hash(kind("ann", note="y"))
    assert kind("ann", marks={"a": "b"}) != kind("ann")
    assert hash(kind("ann", marks={"a": "b"})) == hash(kind("ann"))
    assert len({kind("ann"), kind("ann"), kind("ben")}) == 2
    assert kind("ann") != "ann"
    assert len({each("ann") for each in (Parcel, Letter, StandardParcel, StandardLetter)}) == 4


@both
def test_a_value_cannot_be_changed(kind: Kind) -> None:
    parcel = kind("ann")
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot assign to field 'owner'"):
        parcel.owner = "ben"
    with pytest.raises(dataclasses.FrozenInstanceError):
        del parcel.owner
    assert not hasattr(parcel, "__dict__")


@both
def test_a_value_is_shown_without_its_hidden_fields(kind: Kind) -> None:
    shown = repr(kind("ann", secret="hunter2"))
    assert shown.startswith(f"{kind.__name__}(owner='ann', weight=1, marks={{}}, note=''")
    assert "hunter2" not in shown


@both
def test_the_functions_for_dataclasses_know_values(kind: Kind) -> None:
    parcel = kind("ann", 2)
    assert dataclasses.replace(parcel, owner="ben") == kind("ben", 2)
    assert dataclasses.replace(parcel, owner="ben").label == "BEN"
    assert dataclasses.asdict(parcel)["label"] == "ANN"
    assert parcel.kinds == ["parcel"]
    match parcel:
        case Parcel(owner, weight) | StandardParcel(owner, weight):
            assert (owner, weight) == ("ann", 2)


@both
def test_a_value_can_be_copied_and_pickled(kind: Kind) -> None:
    parcel = kind("ann", 2, {"a": "b"}, note="x")
    unpickled = pickle.loads(pickle.dumps(parcel))  # noqa: S301  # the bytes are our own
    for same in (copy.copy(parcel), copy.deepcopy(parcel), unpickled):
        assert dataclasses.astuple(same) == dataclasses.astuple(parcel)
        assert type(same) is kind


def test_a_class_is_frozen_and_has_slots() -> None:
    with pytest.raises(TypeError, match="frozen and have slots"):
        value.dataclass(frozen=False, slots=True)
