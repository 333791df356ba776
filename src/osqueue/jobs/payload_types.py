"""Which job type a payload object belongs to, by its class.

The class itself counts, not those it inherits from: what a subclass adds would be lost on the way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Annotated, Any, ClassVar, Final, Protocol, TypeAlias, get_args, get_origin

import msgspec

from osqueue.errors import ConfigError
from osqueue.jobs.kinds import inherits
from osqueue.jobs.references import path_of
from osqueue.jobs.schema import Schema

__all__ = ["PayloadObject", "PayloadTypes"]

_PYTHONS_OWN: Final = ("builtins", "types", "collections")

LISTED_MAX: Final = 10
"""Most names that an error lists."""


class _Dataclass(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Any]]


class _Model(Protocol):
    model_config: ClassVar[Any]


class _NamedTuple(Protocol):
    def _asdict(self) -> dict[str, Any]: ...


class _Custom(Protocol):
    """What tells pydantic itself what it is."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any, /) -> Any: ...


PayloadObject: TypeAlias = msgspec.Struct | _Dataclass | _Model | _NamedTuple | _Custom
"""An object whose class tells what it is; a dict does not."""


class PayloadTypes:
    """Names of job types by the class of their payloads."""

    def __init__(self) -> None:
        self._names: dict[Any, list[str]] = {}
        self._unread: dict[str, Schema] = {}
        """Those whose class is named, and not imported yet."""

    def add(self, name: str, schema: Schema) -> None:
        """A type of this name has such payloads."""
        if schema.reference is None:
            self._read(name, schema)
        else:
            self._unread[name] = schema

    def remove(self, name: str) -> None:
        """Forget a type, if it is known."""
        self._unread.pop(name, None)
        for names in self._names.values():
            if name in names:
                names.remove(name)
        self._names = {key: names for key, names in self._names.items() if names}

    def name_of(self, payload: Any) -> str:
        """The name of the type that has such payloads. Raises `ConfigError` for none, or many."""
        names = self._names_of(payload)
        if len(names) == 1:
            return names[0]
        if names:
            raise ConfigError(
                f"{path_of(type(payload))} is the payload of {_listed(names)}: say which by "
                f"submit_job({names[0]!r}, payload)"
            )
        raise ConfigError(
            f"no job type of the registry has payloads of {path_of(type(payload))}"
            f"{self._hint(type(payload))}"
        )

    def _names_of(self, payload: Any) -> list[str]:
        """The rest is imported only when nothing else has such payloads."""
        self._read_where(lambda schema: schema.reference is not None and schema.reference.imported)
        names = self._known(payload)
        if not names:
            self._read_where(lambda _schema: True)
            names = self._known(payload)
        return names

    def _known(self, payload: Any) -> list[str]:
        """A generic class may say in its object of what it is: ``Box[int](7)``."""
        of = type(payload)
        exact = self._names.get(getattr(payload, "__orig_class__", of))
        return exact or self._names.get(of, [])

    def _read_where(self, wanted: Callable[[Schema], bool]) -> None:
        for name, schema in [*self._unread.items()]:
            if wanted(schema):
                with suppress(ConfigError):  # those who use this type are told
                    self._read(name, schema)

    def _read(self, name: str, schema: Schema) -> None:
        payload = schema.type
        self._unread.pop(name, None)
        for key in _classes(payload):
            self._names.setdefault(key, []).append(name)

    def _hint(self, of: type) -> str:
        """What may have been meant; a class is loaded twice when its file is run as a program."""
        if of.__module__ == "builtins":
            return ": say which type it is, submit_job('email:send', payload)"
        for each in filter(_is_class, self._names):
            if each.__qualname__ == of.__qualname__:
                return (
                    f", but those of {path_of(each)}: two classes of the same name, or one whose "
                    "module was loaded twice, once as a program and once by its name"
                )
            if inherits(of, each):
                return (
                    f"; it inherits from {path_of(each)}, but what it adds would be lost: make it "
                    "a type of its own"
                )
        if self._unread:
            return f"; {_listed([*self._unread])} could not be imported"
        return f"; it has those of {_listed([*map(_called, self._names)])}" if self._names else ""


def _classes(payload: Any) -> list[Any]:
    """A class, or a generic one with what it is of; Python's own tell nothing of an object."""
    if get_origin(payload) is Annotated:
        payload = get_args(payload)[0]
    generic = get_origin(payload)
    of = generic or payload
    if not isinstance(of, type) or of.__module__ in _PYTHONS_OWN:
        return []
    return [payload] if generic is None else [payload, generic]


def _is_class(key: Any) -> bool:
    return isinstance(key, type)


def _called(key: Any) -> str:
    return path_of(key) if isinstance(key, type) else str(key)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:LISTED_MAX])
    return f"{shown} and {len(names) - LISTED_MAX} more" if len(names) > LISTED_MAX else shown
