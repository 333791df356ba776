"""Payloads of all other types, by pydantic's `TypeAdapter`.

Only `osqueue.jobs.schema` imports this, when the first such type is used: pydantic takes longer to
import than a light client.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any, Final, get_origin

import msgspec
from pydantic import Secret, SecretBytes, SecretStr, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails, PydanticSerializationError

from osqueue.jobs.kinds import refuse_losses
from osqueue.jobs.problems import Misfit, Problem, field_path, given, nulled, unknown_field
from osqueue.jobs.typed_dicts import modern

__all__ = ["PydanticCodec"]

_SECRET: Final = b"**********"
"""What pydantic writes in place of a secret."""

_BEYOND_JSON: Final = (PydanticSerializationError, TypeError, ValueError, RecursionError)
_NOT_FINITE: Final = (b"null", b"NaN", b"Infinity")
_MISSING: Final = frozenset({"missing", "missing_argument", "missing_keyword_only_argument"})
_UNKNOWN: Final = frozenset({"extra_forbidden", "unexpected_keyword_argument"})
_OWN: Final = frozenset({"value_error", "assertion_error"})
"""Errors of a program's own validators, whose words are kept."""

_OF_BYTES: Final = (
    "; for bytes that are no text say ser_json_bytes='base64' and val_json_bytes='base64' in the "
    "config of the type"
)
_NOT_SENT: Final = (
    ", but is not in what is sent: look at its aliases, serializers and what they exclude"
)


class PydanticCodec:
    """See `osqueue.jobs.schema.Codec`. Raises pydantic's errors, or `NameError`, for a type of
    which no schema can be made.
    """

    def __init__(self, wanted: Any) -> None:
        self._wanted = wanted
        self._adapter = TypeAdapter(modern(wanted))
        if not self._adapter.pydantic_complete:
            self._adapter.rebuild(raise_errors=True)
        config = _config(wanted)
        self._says_extra = "extra" in config
        self._hides = bool(config.get("hide_input_in_errors"))

    def validate(self, value: Any) -> Any:
        """A value of the type, of an instance (which `encode` will judge) or of what makes one."""
        if isinstance(self._wanted, type):
            refuse_losses(value, self._wanted, _fields_of)
        return self._validate(value, by_name=None)

    def validate_fields(self, fields: Mapping[str, Any]) -> Any:
        """The same of what the constructor takes, by name or by alias."""
        return self._validate(dict(fields), by_name=True)

    def encode(self, value: Any) -> bytes:
        """The JSON of a value of the type, which is known to be read again."""
        try:
            encoded = self._adapter.dump_json(
                value, by_alias=True, round_trip=True, warnings="none"
            )
            lost = [*self._lost(value, encoded)]
        except _BEYOND_JSON as error:
            advice = _OF_BYTES if "invalid utf-8" in str(error) else ""
            raise Misfit(("", f"it cannot be written as JSON: {error}{advice}")) from error
        if lost:
            raise Misfit(*lost)
        self._read(encoded, sent=True)
        return encoded

    def decode(self, encoded: bytes) -> Any:
        """The value of a JSON text."""
        return self._read(encoded)

    def json_schema(self) -> dict[str, Any]:
        return self._adapter.json_schema(by_alias=True)

    def _read(self, encoded: bytes, *, sent: bool = False) -> Any:
        """By alias, as it is written, whatever else the type reads."""
        try:
            return self._adapter.validate_json(encoded, by_alias=True)
        except ValidationError as error:
            raise Misfit(*self._problems(error, sent=sent)) from error

    def _validate(self, value: Any, *, by_name: bool | None) -> Any:
        """Unknown fields at the top are refused, unless the type itself says what to do with them:
        pydantic leaves them out, and a misspelt field would be lost silently.
        """
        read = partial(self._adapter.validate_python, value, by_alias=True, by_name=by_name)
        try:
            if self._says_extra:
                return read()
            try:
                return read(extra="forbid")
            except ValidationError as error:
                if any(map(_is_unknown_at_the_top, _details(error))):
                    raise
                return read()  # what forbade it may be a part that allows more
        except ValidationError as error:
            raise Misfit(*self._problems(error)) from error

    def _problems(self, error: ValidationError, *, sent: bool = False) -> Iterator[Problem]:
        for each in _details(error):
            yield field_path(each["loc"]), self._text(each, sent=sent)

    def _text(self, details: ErrorDetails, *, sent: bool) -> str:
        """What is wrong; with ``sent``, with what would be sent of a value that may be right."""
        if details["type"] in _MISSING:
            return "is required" + (_NOT_SENT if sent else "")
        if details["type"] in _UNKNOWN:
            return unknown_field(str(details["loc"][-1]), _fields_of(self._wanted))
        if details["type"] in _OWN:
            return details["msg"].partition(", ")[2]
        text = details["msg"].removeprefix("Input ")
        text = text[:1].lower() + text[1:]
        untold = self._hides or details["type"] == "json_invalid"
        return text if untold else f"{text}, not {given(details['input'])}"

    def _lost(self, value: Any, encoded: bytes) -> Iterator[Problem]:
        """What would arrive as something else without a word: NaN as null, secrets as stars."""
        if _SECRET in encoded:
            yield from _secrets(self._adapter.dump_python(value, by_alias=True, warnings="none"))
        if any(sign in encoded for sign in _NOT_FINITE):
            dumped = self._adapter.dump_python(value, by_alias=True, warnings="none")
            yield from nulled(dumped, msgspec.json.decode(encoded))


def _details(error: ValidationError) -> list[ErrorDetails]:
    return error.errors(include_url=False, include_context=False)


def _is_unknown_at_the_top(details: ErrorDetails) -> bool:
    return details["type"] in _UNKNOWN and len(details["loc"]) == 1


def _config(wanted: Any) -> Mapping[str, Any]:
    """What a model, a dataclass or a TypedDict says of its validation."""
    origin = get_origin(wanted) or wanted
    for name in ("model_config", "__pydantic_config__"):
        if isinstance(found := getattr(origin, name, None), Mapping):
            return found
    return {}


def _fields_of(wanted: Any) -> Iterable[str]:
    origin = get_origin(wanted) or wanted
    for name in ("model_fields", "__dataclass_fields__", "_fields", "__annotations__"):
        if found := getattr(origin, name, None):
            return map(str, found)
    return ()


def _secrets(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[Problem]:
    match value:
        case SecretStr() | SecretBytes() | Secret():
            yield field_path(path), "is a secret, which pydantic would send as stars"
        case dict():
            for key, each in value.items():
                yield from _secrets(each, (*path, str(key)))
        case list() | tuple():
            for index, each in enumerate(value):
                yield from _secrets(each, (*path, index))
