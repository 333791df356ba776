from __future__ import annotations

import msgspec
import pytest

from osqueue.server.fields import not_utf8, with_plain_integers


@pytest.mark.parametrize(
    ("body", "plain"),
    [
        (b'{"max":3.0}', b'{"max":3}'),
        (b'{"max":-3.000,"priority":0.0}', b'{"max":-3,"priority":0}'),
        (b'{"max":3.5,"a":3e1,"b":"3.0","c":[3.0]}', b'{"max":3.5,"a":3e1,"b":"3.0","c":[3.0]}'),
        (b'{"payload":3.0,"result":4.0}', b'{"payload":3.0,"result":4.0}'),
        (b'{"retry":{"baseMs":5.0,"factor":2.0},"maxByType":{"t":1.0}}',
         b'{"retry":{"baseMs":5,"factor":2},"maxByType":{"t":1}}'),
        (b'{"retry":null,"maxByType":2.0,"other":{"a":1.0}}',
         b'{"retry":null,"maxByType":2,"other":{"a":1.0}}'),
        (b'{"jobs":[{"result":1.0,"retry":{"maxMs":9.0}}]}',
         b'{"jobs":[{"result":1.0,"retry":{"maxMs":9}}]}'),
        (b'{"jobs":[{"priority":1.0,"payload":1.0},2.0]}',
         b'{"jobs":[{"priority":1,"payload":1.0},2.0]}'),
        (b'{"jobs":5.0}', b'{"jobs":5}'),
        (b'{"jobs":[]}', b'{"jobs":[]}'),
        (b'{"jobs":[{"jobs":[{"max":1.0}]}]}', b'{"jobs":[{"jobs":[{"max":1.0}]}]}'),
    ],
)  # fmt: skip
def test_integers_when_written_with_a_point_then_plain_outside_of_payloads(
    body: bytes, plain: bytes
) -> None:
    assert with_plain_integers(body) == plain


@pytest.mark.parametrize("body", [b"[]", b"{", b'{"jobs":[{]}'])
def test_integers_when_it_is_no_object_then_refused(body: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        with_plain_integers(body)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"a":"\xc3\xa9","type":"\xff"}', "`type`"),
        (b'{"jobs":[{"payload":"\xc3"}]}', "`jobs`"),
        (b'{"a":"\xff","a":1}', "the body"),
    ],
)
def test_utf8_when_a_field_breaks_it_then_the_field_is_named(body: bytes, said: str) -> None:
    assert said in not_utf8(body)
