"""Immutable values: dataclasses whose modules take little time to import.

For a frozen dataclass Python compiles six methods when its module is imported, which takes nearly a
millisecond. The program loads about fifty such classes at its start. The classes of this module
behave in the same way, but nothing is compiled for them.
"""

from __future__ import annotations

import dataclasses
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from dataclasses import dataclass as dataclass
else:

    def dataclass(*, frozen, slots):
        """Make a class a dataclass, as `dataclasses.dataclass` does with these two options.

        Other options are not supported, nor are special methods that the class defines itself.
        """
        if not (frozen and slots):
            raise TypeError("the dataclasses of this module are frozen and have slots")
        return _as_value


_Class = TypeVar("_Class", bound="type[Any]")


def _as_value(cls: _Class) -> _Class:
    value: Any = dataclasses.dataclass(init=False, repr=False, eq=False, slots=True)(cls)
    fields = dataclasses.fields(value)
    compared = [field for field in fields if field.compare]
    hashed = [field for field in compared if field.hash is not False]
    value.__init__ = _initializer(fields, has_post_init=hasattr(cls, "__post_init__"))
    value.__eq__ = _comparison(compared)
    value.__hash__ = _hash_function(hashed)
    value.__repr__ = _shown
    value.__setattr__ = value.__delattr__ = _refuse
    value.__getstate__ = _state
    value.__setstate__ = _set_state
    return value  # type: ignore[no-any-return]  # a class with slots is a new one


def _initializer(
    fields: Iterable[dataclasses.Field[Any]], *, has_post_init: bool
) -> Callable[..., None]:
    arguments = [field for field in fields if field.init]
    names = dict.fromkeys(field.name for field in arguments).keys()
    missing = dataclasses.MISSING
    defaults = {field.name: field.default for field in arguments if field.default is not missing}
    factories = {
        field.name: field.default_factory
        for field in arguments
        if field.default_factory is not missing
    }

    def initialize(self: Any, /, *positional: Any, **named: Any) -> None:
        given = {**dict(zip(names, positional, strict=False)), **named}
        values = {**defaults, **given}
        for name, factory in factories.items():
            if name not in values:
                values[name] = factory()
        if values.keys() != names or len(given) != len(positional) + len(named):
            raise TypeError(f"{type(self).__name__} takes these arguments: {', '.join(names)}")
        for name, value in values.items():
            object.__setattr__(self, name, value)
        if has_post_init:
            self.__post_init__()

    return initialize


def _comparison(fields: Iterable[dataclasses.Field[Any]]) -> Callable[[Any, object], Any]:
    content = attrgetter(*(field.name for field in fields))

    def is_equal(self: Any, other: object) -> Any:
        return content(self) == content(other) if type(other) is type(self) else NotImplemented

    return is_equal


def _hash_function(fields: Iterable[dataclasses.Field[Any]]) -> Callable[[Any], int]:
    content = attrgetter(*(field.name for field in fields))
    return lambda self: hash(content(self))


def _shown(self: Any) -> str:
    members = [
        f"{field.name}={getattr(self, field.name)!r}"
        for field in dataclasses.fields(self)
        if field.repr
    ]
    return f"{type(self).__qualname__}({', '.join(members)})"


def _refuse(_: Any, name: str, *__: Any) -> NoReturn:
    raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")


def _state(self: Any) -> list[Any]:
    return [getattr(self, field.name) for field in dataclasses.fields(self)]


def _set_state(self: Any, state: Iterable[Any]) -> None:
    for field, value in zip(dataclasses.fields(self), state, strict=True):
        object.__setattr__(self, field.name, value)
