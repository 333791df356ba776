from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osqueue.client import Job
from osqueue.worker.leases import LeaseBook


def _job(number: int = 1) -> Job:
    return Job(
        job_id=f"job-{number}",
        type="t",
        raw_payload=b"null",
        worker_id="w",
        lease=f"lease-{number}",
        attempt=1,
        max_attempts=3,
        created_at=0,
    )


def _with_running(*jobs: Job, concurrency: int = 10) -> LeaseBook:
    book = LeaseBook(concurrency, finishing_max=10)
    book.answered(book.ask(), jobs)
    return book


def test_book_when_new_has_all_slots_free_and_holds_nothing() -> None:
    book = LeaseBook(3, finishing_max=10)

    assert (book.free, book.running, book.holds_any, book.held()) == (3, 0, False, [])


def test_ask_reserves_all_free_slots() -> None:
    book = LeaseBook(3, finishing_max=10)

    assert book.ask() == 3
    assert book.free == 0


def test_ask_of_a_wide_worker_stays_within_one_claim() -> None:
    assert LeaseBook(5_000, finishing_max=10).ask() == 1_000


def test_answered_with_fewer_jobs_gives_the_other_slots_back() -> None:
    book = LeaseBook(3, finishing_max=10)

    begun = book.answered(book.ask(), [job := _job()])

    assert begun == [job]
    assert (book.free, book.running, book.held()) == (2, 1, [job])


def test_answered_with_more_jobs_than_asked_takes_only_those_asked_for() -> None:
    book = LeaseBook(2, finishing_max=10)
    jobs = [_job(1), _job(2), _job(3)]

    assert book.answered(book.ask(), jobs) == jobs[:2]
    assert book.running == 2


def test_answered_with_a_lease_already_held_does_not_run_it_twice() -> None:
    book = _with_running(_job(1))

    assert book.answered(book.ask(), [_job(1), other := _job(2)]) == [other]
    assert book.running == 2


def test_answered_with_the_same_job_under_a_new_lease_runs_it() -> None:
    book = _with_running(first := _job(1))
    book.lose(first)
    again = Job(**{name: getattr(first, name) for name in first.__struct_fields__} | {"lease": "2"})

    assert book.answered(book.ask(), [again]) == [again]
    assert book.held() == [again]


def test_held_names_a_job_claimed_again_while_its_older_lease_is_reported_once() -> None:
    book = _with_running(first := _job(1), other := _job(2))
    book.ended(first)
    again = Job(**{name: getattr(first, name) for name in first.__struct_fields__} | {"lease": "2"})
    book.answered(book.ask(), [again])

    assert book.held() == [again, other]


def test_ended_frees_the_slot_and_keeps_the_lease() -> None:
    book = _with_running(job := _job(), concurrency=1)

    assert book.ended(job)
    assert (book.free, book.running, book.held()) == (1, 0, [job])


def test_lose_keeps_the_slot_until_the_handler_has_ended_and_drops_the_lease() -> None:
    book = _with_running(job := _job(), concurrency=1)

    assert book.lose(job)
    assert (book.free, book.running, book.held(), book.holds_any) == (0, 1, [], False)


def test_ended_after_the_lease_was_lost_has_nothing_to_report() -> None:
    book = _with_running(job := _job())
    book.lose(job)

    assert not book.ended(job)


def test_lose_of_a_job_that_is_being_reported_leaves_that_to_the_report() -> None:
    book = _with_running(job := _job())
    book.ended(job)

    assert not book.lose(job)
    assert book.held() == [job]


def test_withdraw_takes_the_running_jobs_only_and_keeps_their_leases() -> None:
    running, reporting, lost = _job(1), _job(2), _job(3)
    book = _with_running(running, reporting, lost)
    book.ended(reporting)
    book.lose(lost)

    assert book.withdraw() == [running]
    assert book.held() == [running, reporting]
    assert not book.ended(running)
    assert not book.lose(running)


def test_close_forgets_the_job_and_frees_what_it_took() -> None:
    book = _with_running(job := _job(), concurrency=1)
    book.lose(job)

    book.close(job)
    book.close(job)

    assert (book.free, book.running, book.held()) == (1, 0, [])


def test_free_while_too_many_reports_are_not_taken_is_none() -> None:
    book = LeaseBook(5, finishing_max=2)
    book.answered(book.ask(), jobs := [_job(1), _job(2), _job(3)])
    for job in jobs[:2]:
        book.ended(job)

    assert book.free == 0
    book.close(jobs[0])
    assert book.free == 4


@pytest.mark.parametrize("concurrency", [1, 3])
@given(data=st.data())
def test_book_after_any_moves_never_exceeds_its_concurrency(
    concurrency: int, data: st.DataObject
) -> None:
    book = LeaseBook(concurrency, finishing_max=4)
    jobs: list[Job] = []
    asked: list[int] = []
    for number in range(data.draw(st.integers(0, 25))):
        match data.draw(st.sampled_from(["ask", "answer", "end", "lose", "close", "withdraw"])):
            case "ask":
                asked.append(book.ask())
            case "answer" if asked:
                brought = [_job(number * 10 + each) for each in range(data.draw(st.integers(0, 5)))]
                jobs += book.answered(asked.pop(0), brought)
            case "withdraw":
                book.withdraw()
            case move if jobs and move != "answer":
                getattr(book, {"end": "ended"}.get(move, move))(data.draw(st.sampled_from(jobs)))
        assert 0 <= book.running + sum(asked) <= concurrency
        assert 0 <= book.free <= concurrency - book.running - sum(asked)
        assert book.holds_any == bool(book.held())
    for job in jobs:
        book.close(job)
    assert (book.running, book.held()) == (0, [])
