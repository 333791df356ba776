"""What a payload must be: any type, checked before it leaves and again when it arrives.

Structs of `msgspec` by msgspec, all other types by pydantic's `TypeAdapter`, which is imported when
the first of them is used. A schema is made when it is first needed, so defining jobs costs nothing,
and types may be named as ``package.module:name``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Protocol, get_args, get_origin

import msgspec
from msgspec import Raw

from osqueue.errors import ConfigError, PayloadValidationError
from osqueue.jobs.problems import Misfit, refusal
from osqueue.jobs.references import Reference
from osqueue.jobs.struct_codec import StructCodec, holds_structs

__all__ = ["Codec", "Schema"]

_MODULES: Final = re.compile(r"(?<!['\w.])(?:\w+\.)+(?=\w)")
"""``myapp.`` of ``myapp.Order | None``, but not of ``Literal['myapp.order']``."""


class Codec(Protocol):
    """Checks and converts values of one type. Raises `Misfit`."""

    def validate(self, value: Any) -> Any: ...
    def validate_fields(self, fields: Mapping[str, Any]) -> Any: ...
    def encode(self, value: Any) -> bytes: ...
    def decode(self, encoded: bytes) -> Any: ...
    def json_schema(self) -> dict[str, Any]: ...


class Schema:
    """The type of a job's payload, or of its result. All methods but `json_schema` raise
    `PayloadValidationError`, which names the job type and the fields' paths, and `ConfigError` when
    there can be no schema of the type.
    """

    def __init__(self, wanted: Any, whose: str) -> None:
        self._wanted = wanted
        self._whose = whose
        self._codec: Codec | None = None

    @classmethod
    def of(cls, wanted: Any, *, job_type: str = "", part: str = "payload") -> Schema:
        """Of a type, or of one that is named as ``package.module:name``."""
        whose = f"the {part} of {job_type!r}" if job_type else f"the {part}"
        if isinstance(wanted, str):
            wanted = Reference(wanted, f"the type of {whose}")
        return cls(wanted, whose)

    def __repr__(self) -> str:
        return f"<schema of {self._whose}: {_name(self._wanted)}>"

    @property
    def type(self) -> Any:
        """The type; if it was named, it is imported."""
        if isinstance(self._wanted, Reference):
            self._wanted = self._wanted.load()
        return self._wanted

    @property
    def reference(self) -> Reference | None:
        """By what name the type will be imported, if it was named and has not been yet."""
        return self._wanted if isinstance(self._wanted, Reference) else None

    def prepare(self) -> None:
        """Make what checks, now rather than with the first payload."""
        if self._codec is None:
            self._codec = self._make()

    def encode(self, value: Any) -> Raw:
        """The JSON of an instance, or of what makes one: a mapping of its fields by alias.

        It is known to be read again. A `Raw` is JSON already, and only checked.
        """
        try:
            if isinstance(value, Raw):
                _expect_json(value)
                self._ready().decode(bytes(value))
                return value
            return self._encode(self._ready().validate(value))
        except Misfit as misfit:
            raise self._refusal(misfit) from None  # it says all, and quotes less

    def encode_fields(self, fields: Mapping[str, Any]) -> Raw:
        """The JSON of what the type's constructor would make of these, by name."""
        try:
            return self._encode(self._ready().validate_fields(fields))
        except Misfit as misfit:
            raise self._refusal(misfit) from None  # it says all, and quotes less

    def decode(self, encoded: bytes | bytearray | memoryview | Raw) -> Any:
        """The value of a payload. Fields that the type does not know are its own affair."""
        try:
            return self._ready().decode(bytes(encoded))
        except Misfit as misfit:
            raise self._refusal(misfit) from None  # it says all, and quotes less

    def json_schema(self) -> dict[str, Any]:
        """The same as JSON Schema."""
        return self._ready().json_schema()

    def _encode(self, value: Any) -> Raw:
        return Raw(self._ready().encode(value))

    def _ready(self) -> Codec:
        self.prepare()
        assert self._codec is not None
        return self._codec

    def _make(self) -> Codec:
        wanted = self.type
        try:
            return _codec(wanted)
        except Exception as error:  # whatever msgspec, pydantic or the type itself may raise
            reason = next(iter(str(error).splitlines()), "")
            raise ConfigError(
                f"{self._whose} cannot be a {_name(wanted)}: {type(error).__name__}: {reason}"
            ) from error

    def _refusal(self, misfit: Misfit) -> PayloadValidationError:
        return refusal(self._whose, _name(self._wanted), misfit.problems)


def _expect_json(text: Raw) -> None:
    """As brokers read it: codecs look only at what they build, and pydantic takes NaN for JSON."""
    try:
        msgspec.json.decode(text, type=Raw)
        bytes(text).decode()
    except (ValueError, RecursionError) as error:
        raise Misfit(("", f"it is not JSON: {error}")) from error


def _codec(wanted: Any) -> Codec:
    if wanted is Any or holds_structs(wanted):
        return StructCodec(wanted)
    from osqueue.jobs.pydantic_codec import PydanticCodec  # noqa: PLC0415 - see the head

    return PydanticCodec(wanted)


def _name(wanted: Any) -> str:
    if isinstance(wanted, Reference):
        return wanted.name
    if get_origin(wanted) is Annotated:
        wanted = get_args(wanted)[0]
    return wanted.__name__ if isinstance(wanted, type) else _MODULES.sub("", repr(wanted))
