"""Payloads that `msgspec` knows by itself: its Structs, what holds them, and any JSON."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, get_args, get_origin

import msgspec

from osqueue.jobs.kinds import refuse_losses
from osqueue.jobs.problems import Misfit, Problem, field_path, given, nulled, unknown_field

__all__ = ["StructCodec", "holds_structs"]

_ERROR: Final = re.compile(r"(?P<text>.*?)(?: - at `\$(?P<path>.*)`)?", re.DOTALL)
_MISSING: Final = re.compile(r"Object missing required field `(?P<field>.*)`", re.DOTALL)
_UNKNOWN: Final = re.compile(r"Object contains unknown field `(?P<field>.*)`", re.DOTALL)
_BEYOND_JSON: Final = (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError)

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def holds_structs(wanted: Any) -> bool:
    """Whether a type is a Struct, or names one: ``list[Point]``, ``Point | None``."""
    if isinstance(get_origin(wanted) or wanted, type):
        found = issubclass(get_origin(wanted) or wanted, msgspec.Struct)
        if found:
            return True
    return any(holds_structs(each) for each in get_args(wanted))


class StructCodec:
    """See `osqueue.jobs.schema.Codec`. Raises `TypeError` for a type that msgspec has not."""

    def __init__(self, wanted: Any) -> None:
        self._wanted = wanted
        self._decoder = msgspec.json.Decoder(wanted)
        origin = get_origin(wanted) or wanted
        self._struct: type[msgspec.Struct] | None = (
            origin if isinstance(origin, type) and issubclass(origin, msgspec.Struct) else None
        )

    def validate(self, value: Any) -> Any:
        """A value of the type, of an instance (which `encode` will judge) or of what makes one."""
        if isinstance(value, self._struct or msgspec.Struct):
            if self._struct is not None:
                refuse_losses(value, self._struct, _fields_of)
            return value
        if self._struct is not None:
            self._look_at_fields(self._struct, value)
        return self._convert(value)

    def validate_fields(self, fields: Mapping[str, Any]) -> Any:
        """The same of what the constructor takes: the fields by their names in Python."""
        if self._struct is None:
            return self.validate(dict(fields))
        names = dict(
            zip(self._struct.__struct_fields__, self._struct.__struct_encode_fields__, strict=True)
        )
        _refuse_unknown(fields, names)
        return self._convert({names[name]: value for name, value in fields.items()})

    def encode(self, value: Any) -> bytes:
        """The JSON of a value of the type, which is known to be read again."""
        try:
            encoded = _encode(value)
            if b"null" in encoded:
                problems = [*nulled(msgspec.to_builtins(value, str_keys=True), _decode(encoded))]
                if problems:
                    raise Misfit(*problems)
        except _BEYOND_JSON as error:
            raise Misfit(("", f"it cannot be written as JSON: {error}")) from error
        self.decode(encoded)
        return encoded

    def decode(self, encoded: bytes) -> Any:
        """The value of a JSON text."""
        try:
            return self._decoder.decode(encoded)
        except msgspec.ValidationError as error:
            raise Misfit(_problem(error)) from error
        except (ValueError, RecursionError) as error:
            raise Misfit(("", f"it is not JSON: {error}")) from error

    def json_schema(self) -> dict[str, Any]:
        return msgspec.json.schema(self._wanted)

    def _look_at_fields(self, struct: type[msgspec.Struct], value: Any) -> None:
        """Msgspec leaves out what it does not know: a misspelt field would be lost silently."""
        if not isinstance(value, Mapping):
            raise Misfit(("", f"should be a mapping of its fields, not {given(value)}"))
        tag = struct.__struct_config__.tag_field
        _refuse_unknown(value, {*struct.__struct_encode_fields__, *([tag] if tag else [])})

    def _convert(self, value: Any) -> Any:
        try:
            return msgspec.convert(value, self._wanted)
        except msgspec.ValidationError as error:
            raise Misfit(_problem(error)) from error
        except (TypeError, ValueError, RecursionError) as error:
            raise Misfit(("", str(error))) from error


def _fields_of(struct: type) -> tuple[str, ...]:
    fields: tuple[str, ...] = getattr(struct, "__struct_fields__", ())
    return fields


def _refuse_unknown(fields: Mapping[str, Any], known: Any) -> None:
    problems = [
        (str(name), unknown_field(str(name), known)) for name in fields if name not in known
    ]
    if problems:
        raise Misfit(*problems)


def _problem(error: msgspec.ValidationError) -> Problem:
    """A field's path and what is wrong, of msgspec's text."""
    match = _ERROR.fullmatch(str(error))
    assert match is not None
    text, path = match["text"], (match["path"] or "").lstrip(".")
    for form, says in ((_MISSING, "is required"), (_UNKNOWN, "there is no such field")):
        if field := form.fullmatch(text):
            return field_path([*([path] if path else []), field["field"]]), says
    return path, text[:1].lower() + text[1:]
