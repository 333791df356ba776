"""Dead letters by their errors: what counts as alike, and how often it is worked out."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from msgspec import UNSET, Raw
from tests.unit.broker.scripted_engine import AT, Q, Under

from osqueue.broker import dead_groups
from osqueue.broker.dead_groups import Grouping, pattern_of
from osqueue.model.ops import ListDead
from osqueue.model.outcomes import BadCursor, DeadLetter, DeadLetters
from osqueue.wire.messages import DeadGroups


def letter(job_id: str, message: str = "no", *, type: str = "t", **error: Any) -> DeadLetter:  # noqa: A002
    told = {"type": "E", "message": message, "at": 5, **error}
    return DeadLetter(job_id, type, 1, Raw(json.dumps(told).encode()))


def letters(*each: DeadLetter, mark: str = "m", cursor: str | None = None) -> DeadLetters:
    return DeadLetters(mark, each, cursor)


def grouped(*each: DeadLetter) -> DeadGroups:
    grouping = Grouping()
    for one in each:
        grouping.add(one)
    return grouping.answer()


@pytest.mark.parametrize(
    ("message", "pattern"),
    [
        ("user 17 of 3", "user # of #"),
        ("job 01a200d4-18eb-7568-acd5-e22982bc2ce4 is gone", "job # is gone"),
        ("at 0xDEADBEEF", "at #"),
        ("commit 9fceb02d0ae598e9", "commit #"),
        ("decade facade", "decade facade"),
        ("deadbeef without a digit", "deadbeef without a digit"),
        ("v1.2.3: 10.0.0.7:8080", "v#.#.#: #.#.#.#:#"),
        ("٣ mal", "# mal"),
        ("", ""),
    ],
)
def test_pattern_when_made_then_without_what_differs(message: str, pattern: str) -> None:
    assert pattern_of(message) == pattern


@pytest.mark.parametrize("part", ["a", "1", "a1", "0x", "12345678-", "f" * 63 + " ", "é"])
def test_pattern_when_a_message_is_long_and_strange_then_it_is_short_and_soon_there(
    part: str,
) -> None:
    assert len(pattern_of(part * 1_000_000)) <= 300


def test_groups_when_made_then_the_largest_first_and_all_counted() -> None:
    answer = grouped(
        letter("a", "user 1", type="x", at=30),
        letter("b", "user 22", type="y", at=10),
        letter("c", "user 333", type="x", at=20),
        letter("d", "other"),
        letter("e", "user 1"),
    )
    first, second = answer.groups
    assert (first.error_type, first.message, first.count) == ("E", "user #", 4)
    assert first.types == {"x": 2, "y": 1, "t": 1}
    assert (first.oldest, first.newest, first.job_ids) == (5, 30, ["a", "b", "c", "e"])
    assert (second.message, second.count, answer.total) == ("other", 1, 5)
    assert first.key != second.key


def test_groups_when_made_again_then_a_group_keeps_its_key() -> None:
    (one,) = grouped(letter("a", "user 1")).groups
    (other,) = grouped(letter("b", "user 2"), letter("c", "user 3")).groups
    assert one.key == other.key


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (UNSET, ("", "")),
        (Raw(b'"only a text 7"'), ("Unknown", '"only a text #"')),
        (Raw(b'{"type":5}'), ("Unknown", '{"type":#}')),
        (Raw(b'{"message":"m"}'), ("", "m")),
    ],
)
def test_groups_when_another_implementation_wrote_the_error_then_as_it_is(
    error: Any, kind: tuple[str, str]
) -> None:
    (group,) = grouped(DeadLetter("a", "t", 1, error)).groups
    assert (group.error_type, group.message) == kind
    assert (group.oldest, group.newest) == (1, 1)


def test_groups_when_all_errors_differ_then_some_are_shown_and_all_counted() -> None:
    words = [
        "".join(chr(97 + (number >> 4 * at) % 16) for at in range(4)) for number in range(3_000)
    ]
    answer = grouped(*[letter(f"j{at}", f"no {word}x") for at, word in enumerate(words)])
    assert (len(answer.groups), answer.total) == (200, 3_000)


def test_group_when_it_is_large_then_some_ids_and_types_are_shown() -> None:
    many = [letter(f"j{number}", type=f"t{number % 50}") for number in range(1_500)]
    (group,) = grouped(*many).groups
    assert (group.count, len(group.job_ids), len(group.types)) == (1_500, 1_000, 20)


async def test_get_when_the_dead_letters_are_the_same_then_not_worked_out_again() -> None:
    under = Under(letters(letter("a")), letters())
    first = await under.service.dead_groups(Q)
    second = await under.service.dead_groups(Q, consistent=True)
    assert second.value is first.value
    assert second.value.total == 1
    assert (first.position, second.position) == (AT, AT)
    assert [op.unless for op in under.engine.asked] == [None, "m"]
    assert under.engine.options == [{"consistent": False}, {"consistent": True}]


async def test_get_when_they_have_changed_then_worked_out_anew() -> None:
    under = Under(letters(letter("a")), letters(letter("b"), letter("c"), mark="n"))
    await under.service.dead_groups(Q)
    assert (await under.service.dead_groups(Q)).value.total == 2


async def test_get_when_there_are_many_then_read_in_pieces() -> None:
    under = Under(letters(letter("a"), cursor="g.1"), letters(letter("b"), mark="changed"))
    assert (await under.service.dead_groups(Q)).value.total == 2
    assert under.engine.asked[1] == ListDead(dead_groups.LETTERS_MAX, "g.1")
    under.engine.outcomes = [letters(mark="changed")]
    assert (await under.service.dead_groups(Q)).value.total == 0  # not kept under either mark


async def test_get_when_the_state_is_read_anew_in_between_then_it_begins_again() -> None:
    under = Under(letters(letter("a"), cursor="g.1"), BadCursor(), letters(letter("a")))
    assert (await under.service.dead_groups(Q)).value.total == 1
    assert under.engine.asked[2].cursor is None


async def test_get_when_many_ask_at_once_then_worked_out_once() -> None:
    under = Under(letters(letter("a")), *[letters()] * 9)
    replies = await asyncio.gather(*[under.service.dead_groups(Q) for _ in range(10)])
    assert len({id(reply.value) for reply in replies}) == 1


async def test_get_when_who_asked_first_goes_away_then_the_next_has_it_worked_out() -> None:
    many = [letter(f"j{number}") for number in range(600)]
    under = Under(letters(*many), letters(*many))
    first = asyncio.create_task(under.service.dead_groups(Q))
    second = asyncio.create_task(under.service.dead_groups(Q))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).value.total == 600
    assert under.engine.asked[1].unless is None
