"""What stands around requests and answers: read, and written."""

from __future__ import annotations

import pytest

from osqueue.errors import BrokerLeadershipError, JobNotFoundError
from osqueue.server.websocket.envelope import (
    EVENT,
    RESULT,
    Asking,
    MessageError,
    error_message,
    first_id,
    message,
    message_pieces,
    open_message,
    read_request,
)


def test_request_when_read_then_its_id_is_as_it_was_written() -> None:
    asking = read_request(b' {"v":1,"params":{"a": 1},"method":"m","id": {"x":  1}, "more":[]} ')
    assert (asking.id, asking.method, asking.knows_commits) == (b'{"x":  1}', "m", True)
    assert bytes(asking.params) == b'{"a": 1}'  # type: ignore[arg-type]


@pytest.mark.parametrize("text", [b'{"method":"m"}', b'{"method":"m","id":null,"params":null}'])
def test_request_when_it_says_little_then_the_rest_is_empty(text: bytes) -> None:
    asking = read_request(text)
    assert (asking.id, asking.params, asking.knows_commits) == (b"null", b"{}", False)


@pytest.mark.parametrize(
    ("text", "id_", "said"),
    [
        (b"", b"null", "Invalid JSON"),
        (b"5 5", b"null", "Invalid JSON"),
        (b'{"id":1,"method":"m"', b"null", "Invalid JSON"),
        (b"5", b"null", "Unsupported WS method: undefined"),
        (b'{"id":5}', b"5", "Unsupported WS method: undefined"),
        (b'{"id":5,"method":[1, 2]}', b"5", "Unsupported WS method: [1, 2]"),
        (b'{"id":5,"method":"m","v":"x"}', b"5", "`v`: must be a whole number"),
        (b'{"id":"%b","method":"m"}' % (b"x" * 1_023), b"null", "`id`: must have at most"),
        (b'{"id":"%b"}' % (b"x" * 1_023), b"null", "`id`: must have at most"),
        (b'{"id": 7 ,"a":' + b"[" * 5_000, b"7", "nested too deep"),
    ],
)
def test_message_when_it_asks_for_nothing_then_said_to_whom_it_is_known(
    text: bytes, id_: bytes, said: str
) -> None:
    with pytest.raises(MessageError) as raised:
        read_request(text)
    assert raised.value.id == id_
    assert said in raised.value.error.message


def test_method_when_it_is_a_long_object_then_not_all_of_it_is_repeated() -> None:
    with pytest.raises(MessageError) as raised:
        read_request(b'{"method":["%b"]}' % (b"x" * 10_000))
    assert len(raised.value.error.message) < 300


@pytest.mark.parametrize(
    ("prefix", "id_"),
    [
        (b'{"id":"12","method":"subm', b'"12"'),
        (b' { "id" : -1.5 , "met', b"-1.5"),
        (b'{"id":"a\\"b","m', b'"a\\"b"'),
        (b'{"id":"a', b"null"),
        (b'{"id":{"a":1},"m', b"null"),
        (b'{"method":"m","id":1,', b"null"),
        (b"", b"null"),
    ],
)
def test_first_id_when_only_the_beginning_is_there_then_found_if_it_stands_first(
    prefix: bytes, id_: bytes
) -> None:
    assert first_id(prefix) == id_


def test_answers_when_commits_are_known_of_then_told_beside_what_they_bring() -> None:
    asking, older = Asking(b"1", "m", b"", knows_commits=True), Asking(b'"x"', "m", b"")
    assert message(asking, RESULT, {"a": 1}, (5, 7)) == (
        b'{"id":1,"ok":true,"result":{"a":1},"commit":"5-7"}'
    )
    assert message(older, RESULT, None, (5, 7)) == b'{"id":"x","ok":true,"result":{}}'
    assert message(asking, EVENT, [], None) == b'{"id":1,"event":[]}'
    assert open_message(older) == b'{"id":"x","open":true}'
    pieces = message_pieces(asking, RESULT, [b"[1,", memoryview(b"2]")], (1, 2))
    assert b"".join(pieces) == b'{"id":1,"ok":true,"result":[1,2],"commit":"1-2"}'


def test_errors_when_told_then_with_what_else_is_known() -> None:
    asking = Asking(b"1", "m", b"", knows_commits=True)
    error = JobNotFoundError("there is no job x")
    error.position = (3, 4)
    assert error_message(asking, error) == (
        b'{"id":1,"ok":false,"error":{"_tag":"JobNotFoundError","message":"there is no job x"},'
        b'"commit":"3-4"}'
    )
    leader = BrokerLeadershipError("elsewhere", leader="h:1")
    assert b'"applied":"no","leader":"h:1"' in error_message(asking, leader)


def test_large_submit_when_read_then_its_params_are_read_with_it() -> None:
    text = b'{"id":1,"v":1,"method":"submitJob","params":{"payload":"%b"}}' % (b"x" * 2**21)
    asking = read_request(text)
    assert (asking.id, asking.method, asking.knows_commits) == (b"1", "submitJob", True)
    assert len(asking.params.payload) == 2**21 + 2  # type: ignore[union-attr, arg-type]
