"""The jobs of a handler: an object, or the fields of one, checked when they are made."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.jobs.payloads import Aliased, Crate, Line, Point, Report, Resize, SendEmail

from osqueue.errors import ConfigError, PayloadValidationError
from osqueue.jobs import Jobs

jobs = Jobs()


@jobs.job("email:send", max_attempts=5)
async def by_annotation(email: SendEmail) -> None: ...
@jobs.job("email:send-by-class", SendEmail)
async def by_class(email: SendEmail) -> None: ...
@jobs.job("report", Report)
async def dataclass_job(report: Report) -> None: ...
@jobs.job("resize", Resize)
async def struct_job(resize: Resize) -> None: ...
@jobs.job("point", Point)
async def tuple_job(point: Point) -> None: ...
@jobs.job("aliased", Aliased)
async def aliased_job(aliased: Aliased) -> None: ...
@jobs.job("line")
async def line_job(line: Line) -> None: ...
@jobs.job("text", str)
async def text_job(text: str) -> None: ...
@jobs.job("tick")
async def tick(nothing: None) -> None: ...
@jobs.job("maybe")
async def maybe(report: Report | None) -> None: ...
@jobs.job("crate")
async def generic(crate: Crate[int]) -> None: ...


EMAIL = b'{"to":"a","subject":"hello"}'


@pytest.mark.parametrize(
    ("made", "sent"),
    [
        (lambda: by_annotation.new(to="a"), EMAIL),
        (lambda: by_annotation.new(SendEmail(to="a")), EMAIL),
        (lambda: by_class.new(to="a"), EMAIL),
        (lambda: by_class.new(SendEmail(to="a")), EMAIL),
        (lambda: dataclass_job.new(month=7), b'{"month":7,"year":2026}'),
        (lambda: dataclass_job.new(7), b'{"month":7,"year":2026}'),
        (lambda: dataclass_job.new(7, 2027), b'{"month":7,"year":2027}'),
        (lambda: dataclass_job.new(7, year=2027), b'{"month":7,"year":2027}'),
        (lambda: dataclass_job.new(Report(7)), b'{"month":7,"year":2026}'),
        (lambda: struct_job.new(max_width=7), b'{"maxWidth":7,"quality":null,"more":null}'),
        (lambda: struct_job.new(7, 0.5), b'{"maxWidth":7,"quality":0.5,"more":null}'),
        (lambda: tuple_job.new(Point(1, 2)), b"[1,2]"),
        (lambda: tuple_job.new(1, y=2), b"[1,2]"),
        (lambda: aliased_job.new(recipient="a"), b'{"recipient":"a"}'),
        (lambda: line_job.new({"price": 1}), b'{"price":1.0}'),
        (lambda: line_job.new(price=1), b'{"price":1.0}'),
        (lambda: text_job.new("a"), b'"a"'),
        (lambda: tick.new(None), b"null"),
        (tick.new, b"null"),
        (lambda: maybe.new(None), b"null"),
        (lambda: maybe.new(month=7), b'{"month":7,"year":2026}'),
        (lambda: generic.new(inside=7), b'{"inside":7}'),
    ],
)
def test_new_when_the_payload_fits_then_it_is_made_and_encoded(made: Any, sent: bytes) -> None:
    assert bytes(made().payload) == sent


WRONG: Any = "a wrong value, which type checkers would find"


@pytest.mark.parametrize(
    ("made", "path"),
    [
        (lambda: by_annotation.new(too="a"), "too"),
        (by_annotation.new, "to"),
        (lambda: by_annotation.new({"to": 3}), "to"),  # type: ignore[call-overload]
        (lambda: by_class.new(WRONG), ""),
        (lambda: dataclass_job.new(WRONG), "month"),
        (lambda: dataclass_job.new(month=WRONG), "month"),
        (lambda: struct_job.new(WRONG), "maxWidth"),
        (lambda: struct_job.new(height=3), "height"),  # type: ignore[call-overload]
        (lambda: tick.new(x=3), ""),
        (lambda: generic.new(inside="x"), "inside"),
    ],
)
def test_new_when_the_payload_does_not_fit_then_the_error_names_the_field(
    made: Any, path: str
) -> None:
    with pytest.raises(PayloadValidationError) as refusal:
        made()
    assert path in dict(refusal.value.errors)


def test_new_when_given_an_object_and_fields_then_refused() -> None:
    with pytest.raises(PayloadValidationError, match="takes one payload, or its fields by name"):
        by_annotation.new(SendEmail(to="a"), subject="b")  # type: ignore[call-overload]
    with pytest.raises(PayloadValidationError, match="takes one payload, or its fields by name"):
        by_class.new(SendEmail(to="a"), subject="b")  # type: ignore[call-overload]


def test_new_when_the_object_changes_later_then_the_job_does_not() -> None:
    report = Report(7)
    job = dataclass_job.new(report)
    report.month = 8
    assert bytes(job.payload) == b'{"month":7,"year":2026}'


def test_new_when_an_option_is_taken_for_a_field_then_the_error_says_where_it_goes() -> None:
    with pytest.raises(PayloadValidationError, match=r"apart: \.options\(delay_ms=…\)\.submit"):
        by_annotation.new(to="a", delay_ms=3)


def test_new_when_a_field_has_the_name_of_an_option_then_it_is_the_field() -> None:
    @Jobs().job("vote")
    async def vote(_choice: Crate[dict[str, int]]) -> None: ...

    @Jobs().job("priorities")
    async def priorities(_by_name: dict[str, int]) -> None: ...

    assert bytes(priorities.new(priority=3, delay_ms=1).payload) == b'{"priority":3,"delay_ms":1}'


def test_options_when_given_then_only_that_one_has_them() -> None:
    urgent = by_annotation.options(priority=-5).options(delay_ms=7, max_attempts=1)
    job, other = urgent.new(to="a"), by_annotation.new(to="a")
    assert (job.priority, job.delay_ms, job.max_attempts) == (-5, 7, 1)
    assert (other.priority, other.delay_ms, other.max_attempts) == (0, None, 5)
    assert urgent.name == by_annotation.name


def test_options_when_one_is_not_known_then_config_error_lists_them() -> None:
    options: Any = {"delay": 3}
    with pytest.raises(ConfigError, match="no option delay; those are job_id, max_attempts"):
        by_annotation.options(**options)
