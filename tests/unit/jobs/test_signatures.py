"""Handlers of every form: what they take and return."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.jobs.payloads import Report, SendEmail

from osqueue.errors import ConfigError
from osqueue.jobs.signatures import UNSAID, Signature, described, inspect_handler

if TYPE_CHECKING:
    from nowhere import Context, Nothing  # type: ignore[import-not-found]


async def send(email: SendEmail, ctx: Context) -> int:
    raise NotImplementedError


def plain(email: SendEmail) -> None: ...
def untyped(email):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201
    return email


def unknown(email: Nothing) -> Nothing: ...
def defaults(email: SendEmail, ctx: Any = None) -> None: ...
async def bound(mailer: object, email: SendEmail, ctx: Context) -> str:
    raise NotImplementedError


async def stream(email: SendEmail) -> Any:
    yield email


def wrapping(function: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
    @functools.wraps(function)
    async def wrapped(*args: Any, **kwargs: Any) -> Any:
        return await function(*args, **kwargs)

    return wrapped


class Mailer:
    async def send(self, email: SendEmail, ctx: Context) -> int:
        raise NotImplementedError

    @staticmethod
    def static(email: SendEmail) -> None: ...
    @classmethod
    def of_class(cls, email: SendEmail) -> None: ...
    async def __call__(self, email: SendEmail) -> Report:
        raise NotImplementedError


class Streamer:
    def __call__(self, email: SendEmail) -> Iterator[SendEmail]:
        yield email


def signature(
    *, on_loop: bool = False, context: bool = False, payload: Any = SendEmail, result: Any = UNSAID
) -> Signature:
    return Signature(on_loop=on_loop, takes_context=context, payload=payload, result=result)


NONE = type(None)


@pytest.mark.parametrize(
    ("handler", "expected"),
    [
        (send, signature(on_loop=True, context=True, result=int)),
        (plain, signature(result=NONE)),
        (untyped, signature(payload=UNSAID)),
        (defaults, signature(result=NONE)),
        (functools.partial(bound, None), signature(on_loop=True, context=True, result=str)),
        (
            functools.partial(functools.partial(bound), None),
            signature(on_loop=True, context=True, result=str),
        ),
        (wrapping(send), signature(on_loop=True, context=True, result=int)),
        (Mailer().send, signature(on_loop=True, context=True, result=int)),
        (Mailer.static, signature(result=NONE)),
        (Mailer().of_class, signature(result=NONE)),
        (Mailer(), signature(on_loop=True, result=Report)),
        (lambda _email: None, signature(payload=UNSAID)),
        (print, Signature(on_loop=False, takes_context=False)),
        (max, Signature(on_loop=False, takes_context=False)),  # it does not say what it takes
    ],
)
def test_inspect_when_it_can_be_a_handler_then_tells_what_it_takes_and_returns(
    handler: Any, expected: Signature
) -> None:
    assert inspect_handler("a", handler) == expected


def test_inspect_when_an_annotation_means_nothing_then_says_why() -> None:
    found = inspect_handler("a", unknown)
    assert (found.payload, found.result) == (UNSAID, UNSAID)
    assert found.unresolved == "name 'Nothing' is not defined"


def test_inspect_when_a_class_is_known_where_the_handler_is_defined_then_it_is_found() -> None:
    class Here: ...

    def local(here: Here) -> None: ...

    assert inspect_handler("a", local).payload is UNSAID
    assert inspect_handler("a", local, {"Here": Here}).payload is Here


@pytest.mark.parametrize(
    ("handler", "says"),
    [
        (lambda: None, r"not \(\); of a job without a payload it is None: \(payload: None\)"),
        (lambda _a, _b, _c: None, r"must take \(payload\) or \(payload, ctx\), not \(_a, _b, _c\)"),
        (lambda _a, *, _b: None, r"not \(_a, \*, _b\)"),
        (functools.partial(bound, mailer=None), r"not \(\*, mailer: 'object' = None, email"),
        (Mailer.send, r"hand in the method of an object: jobs\.job\(…\)\(mailer\.send\)"),
        (stream, r"test_signatures\.stream .*, is a generator"),
        (functools.partial(stream), "is a generator"),
        (Streamer(), "is a generator"),
        (Mailer, "is no function"),
        (7, "is no function: 7"),
    ],
)
def test_inspect_when_it_cannot_be_a_handler_then_config_error_says_why(
    handler: Any, says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        inspect_handler("a", handler)


def test_described_when_there_is_a_file_then_it_is_told() -> None:
    assert described(plain).startswith("tests.unit.jobs.test_signatures.plain (")
    assert f"test_signatures.py:{plain.__code__.co_firstlineno})" in described(plain)
    assert described(Mailer()) == "tests.unit.jobs.test_signatures.Mailer"
    assert described(print) == "builtins.print"
