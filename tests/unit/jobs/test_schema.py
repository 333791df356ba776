"""A schema: what fits, what is said of what does not, and that what leaves can be read again."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Raw
from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    computed_field,
    field_validator,
)
from tests.unit.jobs.payloads import (
    Aliased,
    Box,
    Crate,
    Order,
    Point,
    Report,
    Resize,
    SendEmail,
)

from osqueue.errors import ConfigError, PayloadValidationError
from osqueue.jobs import Reference, Schema


def encoded(wanted: Any, value: Any) -> Any:
    return json.loads(bytes(Schema.of(wanted).encode(value)))


def refused(wanted: Any, value: Any) -> PayloadValidationError:
    with pytest.raises(PayloadValidationError) as refusal:
        Schema.of(wanted, job_type="a:b").encode(value)
    return refusal.value


FITTING = [
    (SendEmail, SendEmail(to="a"), {"to": "a", "subject": "hello"}),
    (SendEmail, {"to": "a"}, {"to": "a", "subject": "hello"}),
    (Aliased, {"recipient": "a"}, {"recipient": "a"}),
    (Box[int], Box[int](inside=1), {"inside": 1}),
    (Report, Report(7), {"month": 7, "year": 2026}),
    (Report, {"month": 7}, {"month": 7, "year": 2026}),
    (Crate[int], Crate(1), {"inside": 1}),
    (Order, {"lines": [{"price": 1.5}]}, {"lines": [{"price": 1.5}]}),
    (list[Order], [{"lines": []}], [{"lines": []}]),
    (Order | None, None, None),
    (Point, Point(1), [1, 0]),
    (Resize, Resize(7), {"maxWidth": 7, "quality": None, "more": None}),
    (Resize, {"maxWidth": 7}, {"maxWidth": 7, "quality": None, "more": None}),
    (list[Resize], [Resize(7)], [{"maxWidth": 7, "quality": None, "more": None}]),
    (Resize | None, None, None),
    (None, None, None),
    (int | str, "a", "a"),
    (dict[int, str], {1: "a"}, {"1": "a"}),
    (Decimal, Decimal("1.10"), "1.10"),
    (datetime, datetime(2026, 1, 1, tzinfo=UTC), "2026-01-01T00:00:00Z"),
    (bytes, b"text", "text"),
    (Any, {"any": ["thing", None]}, {"any": ["thing", None]}),
]


@pytest.mark.parametrize(("wanted", "value", "sent"), FITTING)
def test_encode_when_the_value_fits_then_it_is_the_types_json(
    wanted: Any, value: Any, sent: Any
) -> None:
    assert encoded(wanted, value) == sent


@pytest.mark.parametrize(("wanted", "sent"), [(wanted, sent) for wanted, _, sent in FITTING])
def test_raw_when_it_fits_then_it_is_handed_through_as_it_is(wanted: Any, sent: Any) -> None:
    raw = Raw(json.dumps(sent, indent=1).encode())
    assert bytes(Schema.of(wanted).encode(raw)) == bytes(raw)


UNFIT = [
    (SendEmail, {"to": 3}, "to", "should be a valid string, not 3"),
    (SendEmail, {}, "to", "is required"),
    (SendEmail, {"to": "a", "subjct": "b"}, "subjct", "no such field; did you mean 'subject'?"),
    (SendEmail, Report(7), "", "instance of SendEmail, not an instance of tests.unit.jobs"),
    (SendEmail, SendEmail.model_construct(to=3), "to", "should be a valid string, not 3"),
    (SendEmail, 3, "", "should be a valid dictionary or instance of SendEmail, not 3"),
    (SendEmail, Raw(b'{"to": 3}'), "to", "should be a valid string, not 3"),
    (SendEmail, Raw(b'{"to": '), "", "is not JSON"),
    (Aliased, {"to": "a"}, "recipient", "is required"),
    (Report, Report("July"), "month", "should be a valid integer"),  # type: ignore[arg-type]
    (Report, {"month": 1, "day": 1}, "day", "there is no such field"),
    (Order, {"lines": [{"price": 1}, {"price": "x"}]}, "lines[1].price", "not 'x'"),
    (Order, {"lines": [], "more": 1}, "more", "there is no such field"),
    (Point, Point("x"), "x", "should be a valid integer"),  # type: ignore[arg-type]
    (Resize, Resize("wide"), "maxWidth", "expected `int`, got `str`"),  # type: ignore[arg-type]
    (Resize, {"max_width": 7}, "max_width", "there is no such field; did you mean 'maxWidth'?"),
    (Resize, {}, "maxWidth", "is required"),
    (Resize, "wide", "", "should be a mapping of its fields, not 'wide'"),
    (Resize, SendEmail(to="a"), "", "should be a mapping of its fields, not an instance of"),
    (list[Resize], [Resize(1), Resize("x")], "[1].maxWidth", "expected `int`"),  # type: ignore[arg-type]
    (Literal["a"], "b", "", "should be 'a', not 'b'"),
    (Annotated[int, Field(gt=3)], 2, "", "should be greater than 3, not 2"),
    (object, object(), "", "cannot be written as JSON"),
    (bytes, b"\xff", "", "ser_json_bytes='base64'"),
    (str, "\ud800", "", "cannot be written as JSON"),
]


@pytest.mark.parametrize(("wanted", "value", "path", "text"), UNFIT)
def test_encode_when_the_value_does_not_fit_then_the_error_names_type_path_and_reason(
    wanted: Any, value: Any, path: str, text: str
) -> None:
    error = refused(wanted, value)
    found = dict(error.errors)
    assert path in found, error
    assert text in found[path]
    assert "the payload of 'a:b' does not fit" in error.message
    assert found[path] in error.message


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        (float, b"NaN"),
        (dict[str, float], b'{"a":Infinity}'),
        (SendEmail, b'{"to":"ada","unknown":[-Infinity]}'),
        (Point, b'{"x":1,"y":2,"unknown":"\xff"}'),
        (Any, b'1},{"jobId":"b"'),
    ],
)
def test_encode_when_a_raw_text_is_no_json_to_a_broker_then_refused(
    wanted: Any, text: bytes
) -> None:
    with pytest.raises(PayloadValidationError, match="is not JSON"):
        Schema.of(wanted).encode(Raw(text))


NOT_FINITE = [
    (Report, Report(math.nan), "month"),  # type: ignore[arg-type]
    (Order, {"lines": [{"price": math.inf}]}, "lines[0].price"),
    (Order | None, {"lines": [{"price": -math.inf}]}, "lines[0].price"),
    (dict[str, Any], {"a": [None, {"b": math.nan}]}, "a[1].b"),
    (Resize, Resize(1, math.nan), "quality"),
    (Resize, Resize(1, more={"a": (math.inf,)}), "more.a[0]"),
    (float | None, math.nan, ""),
]


@pytest.mark.parametrize(("wanted", "value", "path"), NOT_FINITE)
def test_encode_when_a_number_is_not_finite_then_it_is_refused_rather_than_sent_as_null(
    wanted: Any, value: Any, path: str
) -> None:
    assert path in dict(refused(wanted, value).errors)


def test_encode_when_a_type_says_how_it_writes_nan_then_that_is_sent() -> None:
    class Measured(BaseModel):
        model_config = ConfigDict(ser_json_inf_nan="strings")
        value: float | None = None
        other: int | None = None

    assert encoded(Measured, {"value": math.nan}) == {"value": "NaN", "other": None}


def test_encode_when_a_type_would_write_what_is_not_json_then_refused() -> None:
    class Measured(BaseModel):
        model_config = ConfigDict(ser_json_inf_nan="constants")
        value: float

    assert "cannot be written as JSON" in refused(Measured, {"value": math.nan}).message


def test_encode_when_a_field_is_a_secret_then_refused_rather_than_sent_as_stars() -> None:
    class Login(BaseModel):
        logins: list[dict[str, SecretStr]]

    error = refused(Login, {"logins": [{"password": "hunter2"}]})
    assert error.errors == (
        ("logins[0].password", "is a secret, which pydantic would send as stars"),
    )
    assert "hunter2" not in str(error)


def test_encode_when_what_is_written_cannot_be_read_then_refused_with_where_to_look() -> None:
    class Renamed(BaseModel):
        to: str = Field(validation_alias=AliasChoices("to", "recipient"), serialization_alias="TO")

    error = refused(Renamed, {"recipient": "a"})
    assert dict(error.errors)["to"].startswith("is required, but is not in what is sent")


def test_encode_when_a_field_is_computed_then_it_is_not_sent_as_one_that_is_given() -> None:
    class Square(BaseModel):
        model_config = ConfigDict(extra="forbid")
        side: int

        @computed_field  # type: ignore[prop-decorator]
        @property
        def area(self) -> int:
            return self.side**2

    assert encoded(Square, Square(side=2)) == {"side": 2}


@pytest.mark.parametrize(
    ("wanted", "name"),
    [
        (SendEmail, "SendEmail"),
        (Box[int], "Box[int]"),
        (Crate[int], "Crate[int]"),
        (SendEmail | Report, "SendEmail | Report"),
        (list[Report], "list[Report]"),
        (Annotated[Report, "large"], "Report"),
        (Literal["a.b"], "Literal['a.b']"),
        ("tests.unit.jobs.payloads:Report", "Report"),
    ],
)
def test_error_when_told_what_does_not_fit_then_the_type_has_its_short_name(
    wanted: Any, name: str
) -> None:
    schema = Schema.of(wanted, job_type="a:b")
    assert repr(schema) == f"<schema of the payload of 'a:b': {name}>"
    with pytest.raises(PayloadValidationError, match=re.escape(f"does not fit {name}: ")):
        schema.encode(7)


class LateEmail(SendEmail):
    deadline: int = 0


class SameEmail(SendEmail):
    """Adds nothing."""


@dataclasses.dataclass
class DailyReport(Report):
    day: int = 1


class LargeResize(Resize):
    height: int = 1


@pytest.mark.parametrize(
    ("wanted", "value", "lost"),
    [
        (SendEmail, LateEmail(to="a"), "deadline"),
        (Report, DailyReport(7), "day"),
        (Resize, LargeResize(7), "height"),
    ],
)
def test_encode_when_the_object_has_more_fields_than_its_type_then_refused(
    wanted: Any, value: Any, lost: str
) -> None:
    error = refused(wanted, value)
    assert f"whose {lost} would be lost" in error.message


def test_encode_when_the_object_is_of_a_kind_that_adds_nothing_then_it_fits() -> None:
    assert encoded(SendEmail, SameEmail(to="a")) == {"to": "a", "subject": "hello"}


def test_encode_when_the_type_wants_more_fields_then_it_gets_them() -> None:
    class Open(BaseModel):
        model_config = ConfigDict(extra="allow")

    assert encoded(Open, {"more": 1}) == {"more": 1}


def test_encode_when_a_part_of_the_type_takes_more_fields_then_it_gets_them() -> None:
    class Open(BaseModel):
        model_config = ConfigDict(extra="allow")

    class Closed(BaseModel):
        part: Open

    assert encoded(Closed, {"part": {"more": 1}}) == {"part": {"more": 1}}
    assert dict(refused(Closed, {"part": {}, "more": 1}).errors) == {
        "more": "there is no such field"
    }


def test_encode_when_a_struct_is_tagged_then_its_tag_is_no_unknown_field() -> None:
    class Tagged(msgspec.Struct, tag_field="kind", tag="a"):
        x: int

    assert encoded(Tagged, {"kind": "a", "x": 1}) == {"kind": "a", "x": 1}


def test_error_when_the_validator_is_the_programs_then_it_has_its_words() -> None:
    class Signed(BaseModel):
        amount: int

        @field_validator("amount")
        @classmethod
        def is_positive(cls, amount: int) -> int:
            if amount < 0:
                raise ValueError("must be paid, in full")
            return amount

    assert refused(Signed, {"amount": -1}).errors == (("amount", "must be paid, in full"),)


def test_error_when_the_type_hides_what_it_is_given_then_it_is_hidden() -> None:
    class Hidden(BaseModel):
        model_config = ConfigDict(hide_input_in_errors=True)
        pin: int

    assert "hunter2" not in str(refused(Hidden, {"pin": "hunter2"}))


def test_error_when_the_payload_is_huge_then_the_text_is_short() -> None:
    error = refused(list[int], ["x" * 100_000] * 10_000)
    assert len(error.message) < 1_000
    assert len(error.errors) == 50
    assert "and 9995 more" in error.message
    error = refused(dict[str, int], {"k" * 100_000: "x"})
    assert len(error.message) < 1_000
    assert len(error.errors[0][0]) < 200


def test_error_when_an_integer_is_too_long_to_be_written_then_its_size_is_told() -> None:
    assert "bits" in refused(str, 10**5_000).message


def test_decode_when_the_json_fits_then_it_is_a_value_of_the_type() -> None:
    assert Schema.of(SendEmail).decode(b'{"to": "a"}') == SendEmail(to="a")
    assert Schema.of(Point).decode(memoryview(b"[1]")) == Point(1)
    assert Schema.of(Resize).decode(Raw(b'{"maxWidth": 1}')) == Resize(1)


def test_decode_when_a_newer_producer_sends_more_fields_then_they_are_left_out() -> None:
    assert Schema.of(SendEmail).decode(b'{"to": "a", "cc": "b"}') == SendEmail(to="a")
    assert Schema.of(Report).decode(b'{"month": 7, "day": 1}') == Report(7)
    assert Schema.of(Resize).decode(b'{"maxWidth": 1, "height": 2}') == Resize(1)


@pytest.mark.parametrize("wanted", [SendEmail, Report, Order, Resize, Any])
@pytest.mark.parametrize("junk", [b"", b"\xff", b"{", b"[" * 100_000, b"nul"])
def test_decode_when_it_is_not_json_then_refused(wanted: Any, junk: bytes) -> None:
    with pytest.raises(PayloadValidationError, match=r"JSON|expected `object`, got `array`"):
        Schema.of(wanted).decode(junk)


def test_encode_fields_when_they_are_named_as_in_python_then_they_are_the_payload() -> None:
    def sent(wanted: Any, **fields: Any) -> Any:
        return json.loads(bytes(Schema.of(wanted).encode_fields(fields)))

    assert sent(SendEmail, to="a") == {"to": "a", "subject": "hello"}
    assert sent(Aliased, to="a") == {"recipient": "a"}
    assert sent(Aliased, recipient="a") == {"recipient": "a"}
    assert sent(Resize, max_width=1) == {"maxWidth": 1, "quality": None, "more": None}
    assert sent(Point, x=1) == [1, 0]
    assert sent(Crate[int], inside=1) == {"inside": 1}
    assert sent(dict[str, int], a=1) == {"a": 1}


@pytest.mark.parametrize(
    ("wanted", "fields", "path"),
    [
        (SendEmail, {"to": "a", "too": "b"}, "too"),
        (Report, {"month": 1, "day": 1}, "day"),
        (Point, {"x": 1, "z": 1}, "z"),
        (Resize, {"maxWidth": 1}, "maxWidth"),
        (Resize, {"max_width": "x"}, "maxWidth"),
        (Resize, {}, "maxWidth"),
        (int, {"x": 1}, ""),
        (list[Resize], {"x": 1}, ""),
    ],
)
def test_encode_fields_when_one_is_wrong_then_the_error_names_it(
    wanted: Any, fields: dict[str, Any], path: str
) -> None:
    with pytest.raises(PayloadValidationError) as refusal:
        Schema.of(wanted).encode_fields(fields)
    assert path in dict(refusal.value.errors)


@pytest.mark.parametrize(
    "wanted", [object.__init__, 3, "unknown.module:Payload", "osqueue.errors:Payload"]
)
def test_prepare_when_there_can_be_no_schema_then_config_error(wanted: Any) -> None:
    with pytest.raises(ConfigError, match=r"the payload of 'a:b'|the type of the payload of 'a:b'"):
        Schema.of(wanted, job_type="a:b").prepare()


def test_prepare_when_an_annotation_of_the_type_means_nothing_then_config_error() -> None:
    class Unfinished(BaseModel):
        part: "Missing"  # type: ignore[name-defined] # noqa: F821, UP037

    with pytest.raises(ConfigError, match="'Missing' is not defined"):
        Schema.of(Unfinished).prepare()


def test_type_when_it_is_named_then_it_is_imported_at_first_use() -> None:
    schema = Schema.of("tests.unit.jobs.payloads:SendEmail", job_type="email:send")
    assert schema.reference == Reference(
        "tests.unit.jobs.payloads:SendEmail", "the type of the payload of 'email:send'"
    )
    assert json.loads(bytes(schema.encode({"to": "a"})))["to"] == "a"
    assert repr(schema) == "<schema of the payload of 'email:send': SendEmail>"


@pytest.mark.parametrize("wanted", [SendEmail, Report, Order, Resize, list[int]])
def test_json_schema_when_asked_for_then_says_what_the_type_is(wanted: Any) -> None:
    assert {"type", "$ref"} & Schema.of(wanted).json_schema().keys()
