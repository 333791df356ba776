"""What others leave of the object, and on what our next version builds."""

from __future__ import annotations

from typing import Final

import pytest

from osqueue.config import STATE_KEY
from osqueue.engine.requests import BEFORE
from osqueue.testing.simulation import BrokenLawError
from osqueue.testing.simulation.laws.past import SEEN_US, Copies, Past
from osqueue.testing.simulation.laws.views import StateView, View
from osqueue.testing.simulation.machine.bucket import Bucket
from osqueue.testing.simulation.surroundings import Surroundings

FIRST: Final = StateView(epoch=7, commit="7-1-x")
JOBS: Final = {"a": View("a", "unclaimed")}
COPY: Final = f"{STATE_KEY}.{BEFORE}7-1-x"
OLDER: Final = b'{"broker":"old:1","jobs":[{"id":"a","status":"unclaimed"}]}'


@pytest.fixture
def past() -> Past:
    past = Past()
    past.keep(FIRST, JOBS, 5)
    return past


@pytest.fixture
def bucket() -> Bucket:
    return Surroundings(1).bucket


def again(epoch: int) -> StateView:
    """A version that was created again from the first."""
    return StateView(epoch=epoch, commit=f"{epoch}-1-x", lineage={"7": "7-1-x"})


def adopted(epoch: int = 8) -> StateView:
    return StateView(epoch=epoch, commit=f"{epoch}-1-y")


def copies(bucket: Bucket, past: Past, *, adopted: bool = False) -> Copies:
    """Of a bucket in which one is kept."""
    bucket.write(COPY, b"", None, "broker-1")
    made = Copies(bucket, past, lambda: adopted)
    made.kept(COPY, FIRST, JOBS, 10)
    return made


def test_past_when_somebody_goes_on_then_the_line_is_whole_again(past: Past) -> None:
    past.gone()
    past.mended()
    assert not past.is_cut


def test_past_when_others_have_written_then_the_line_is_cut(past: Past) -> None:
    past.overwritten(OLDER, 9)
    assert past.is_cut


def test_object_when_created_again_then_it_builds_on_what_it_names(past: Past) -> None:
    past.gone()
    standing = past.gone_on_from(again(8), JOBS)
    assert (standing.jobs, standing.at_us) == (JOBS, 5)


def test_object_when_who_creates_it_has_not_seen_an_edit_then_it_builds_on_what_was_before(
    past: Past,
) -> None:
    edited = {**JOBS, "by-hand": View("by-hand", "unclaimed")}
    past.keep(FIRST, edited, 6)
    past.gone()
    assert past.gone_on_from(again(8), JOBS).at_us == 5
    assert past.gone_on_from(again(8), edited).at_us == 6


def test_object_when_created_again_under_its_epoch_then_a_law_is_broken(past: Past) -> None:
    past.gone()
    with pytest.raises(BrokenLawError, match="an epoch that it had"):
        past.gone_on_from(again(7), JOBS)


def test_object_when_it_builds_on_what_never_was_then_a_law_is_broken() -> None:
    past = Past()
    past.gone()
    with pytest.raises(BrokenLawError, match="never was"):
        past.gone_on_from(again(8), JOBS)


def test_object_when_written_over_anothers_then_a_law_is_broken(past: Past) -> None:
    past.overwritten(OLDER, 9)
    with pytest.raises(BrokenLawError, match="not ours"):
        past.gone_on_from(again(8), JOBS)


def test_object_when_adopted_then_it_builds_on_what_was_left(past: Past) -> None:
    past.overwritten(OLDER, 9)
    standing = past.gone_on_from(adopted(), JOBS)
    assert (standing.state, standing.jobs, standing.at_us) == (None, JOBS, 9)


def test_copy_when_it_never_stood_then_a_law_is_broken(past: Past, bucket: Bucket) -> None:
    made = Copies(bucket, past, lambda: False)
    with pytest.raises(BrokenLawError, match="had stood"):
        made.kept(COPY, FIRST, {}, 10)
    with pytest.raises(BrokenLawError, match="is a copy of"):
        made.kept(f"{COPY}2", FIRST, JOBS, 10)


def test_copy_when_kept_then_only_a_person_goes_on_without_it(past: Past, bucket: Bucket) -> None:
    made = copies(bucket, past)
    made.expect_adoptable(adopted(), 10 + SEEN_US)
    with pytest.raises(BrokenLawError, match="is kept"):
        made.expect_adoptable(adopted(), 11 + SEEN_US)


def test_copy_when_a_person_goes_on_without_it_then_no_law_is_broken(
    past: Past, bucket: Bucket
) -> None:
    copies(bucket, past, adopted=True).expect_adoptable(adopted(), 11 + SEEN_US)


def test_epoch_when_a_payload_tells_of_it_then_it_must_not_come_again(
    past: Past, bucket: Bucket
) -> None:
    bucket.write("payloads/9/x", b"", None, "broker-1")
    made = Copies(bucket, past, lambda: True)
    made.expect_adoptable(adopted(10), 0)
    with pytest.raises(BrokenLawError, match="came again"):
        made.expect_adoptable(adopted(9), 0)


@pytest.mark.parametrize("left", ["archive/2030-01-01T00/x.jsonl", "payloads/9/x"])
def test_queue_when_anything_is_left_of_one_then_none_is_begun(
    past: Past, bucket: Bucket, left: str
) -> None:
    made = Copies(bucket, past, lambda: False)
    made.expect_new(adopted())
    bucket.write(left, b"", None, "broker-1")
    with pytest.raises(BrokenLawError, match="begins a new queue over"):
        made.expect_new(adopted())
