from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osqueue.client import Job
from osqueue.worker.leases import Ask, LeaseBook, Limits, Stage


def _job(number: int = 1, job_type: str = "t") -> Job:
    return Job(
        job_id=f"job-{number}",
        type=job_type,
        raw_payload=b"null",
        worker_id="w",
        lease=f"lease-{number}",
        attempt=1,
        max_attempts=3,
        created_at=0,
    )


def _book(concurrency: int = 3, **limits: Any) -> LeaseBook:
    return LeaseBook(Limits(concurrency=concurrency, **{"reporting_max": 10, **limits}))


def _with_running(*jobs: Job, **limits: Any) -> LeaseBook:
    book = _book(10, **limits)
    book.answered(book.ask(), jobs)
    book.start()
    return book


def test_book_when_new_has_all_slots_free_and_holds_nothing() -> None:
    book = _book()

    assert (book.free, book.running, book.holds_any, book.held()) == (3, 0, False, [])


def test_ask_reserves_all_free_slots() -> None:
    book = _book()

    assert book.ask().count == 3
    assert book.free == 0


def test_ask_of_a_wide_worker_stays_within_one_claim() -> None:
    assert _book(5_000).ask().count == 1_000


def test_answered_with_fewer_jobs_gives_the_other_slots_back() -> None:
    book = _book()

    unwanted = book.answered(book.ask(), [job := _job()])

    assert (unwanted, book.start()) == ([], [job])
    assert (book.free, book.running, book.held()) == (2, 1, [job])


def test_answered_with_more_jobs_than_asked_takes_only_those_asked_for() -> None:
    book = _book(2)
    jobs = [_job(1), _job(2), _job(3)]

    assert book.answered(book.ask(), jobs) == jobs[2:]
    assert book.start() == jobs[:2]


def test_answered_with_a_lease_already_held_neither_runs_it_twice_nor_gives_it_up() -> None:
    book = _with_running(job := _job())

    assert book.answered(book.ask(), [job]) == []
    assert (book.start(), book.running) == ([], 1)


def test_answered_with_the_same_job_under_a_new_lease_runs_it() -> None:
    book = _with_running(_job())
    again = Job(**{**_fields(_job()), "lease": "lease-again"})

    book.answered(book.ask(), [again])

    assert book.start() == [again]


def test_held_names_a_job_claimed_again_while_its_older_lease_is_reported_once() -> None:
    book = _with_running(first := _job())
    book.ended(first)
    again = Job(**{**_fields(first), "lease": "lease-again"})
    book.answered(book.ask(), [again])

    assert book.held() == [again]


def test_start_gives_slots_first_come_first_served() -> None:
    book = _book(1, ahead=2)
    book.answered(book.ask(), jobs := [_job(1), _job(2), _job(3)])

    assert book.start() == jobs[:1]
    book.ended(jobs[0])
    assert book.start() == jobs[1:2]
    assert book.start() == []


def test_book_with_jobs_ahead_holds_them_and_asks_for_no_more() -> None:
    book = _book(1, ahead=2)
    book.answered(book.ask(), jobs := [_job(1), _job(2), _job(3)])
    book.start()

    assert (book.running, book.free, book.held()) == (1, 0, jobs)


def test_lose_of_a_job_that_waits_drops_it() -> None:
    book = _book(1, ahead=1)
    book.answered(book.ask(), jobs := [_job(1), _job(2)])
    book.start()

    assert not book.lose(jobs[1])
    book.ended(jobs[0])
    assert book.start() == []
    assert book.free == 2


def test_withdraw_waiting_takes_those_that_have_not_begun_and_keeps_their_leases() -> None:
    book = _book(1, ahead=1)
    book.answered(book.ask(), jobs := [_job(1), _job(2)])
    book.start()

    assert book.withdraw_waiting() == [jobs[1]]
    assert book.held() == jobs
    book.close(jobs[1])
    book.ended(jobs[0])
    assert book.start() == []


def test_ended_frees_the_slot_and_keeps_the_lease() -> None:
    book = _with_running(job := _job())

    assert book.ended(job)
    assert (book.running, book.free, book.held()) == (0, 10, [job])


def test_lose_keeps_the_slot_until_the_handler_has_ended_and_drops_the_lease() -> None:
    book = _with_running(job := _job())

    assert book.lose(job)
    assert (book.running, book.held()) == (1, [])


def test_ended_after_the_lease_was_lost_has_nothing_to_report() -> None:
    book = _with_running(job := _job())
    book.lose(job)

    assert not book.ended(job)
    assert (book.running, book.stage(job)) == (0, None)


def test_lose_of_a_job_that_is_being_reported_leaves_that_to_the_report() -> None:
    book = _with_running(job := _job())
    book.ended(job)

    assert not book.lose(job)
    assert book.held() == [job]


def test_tell_has_the_failure_reported_once_and_keeps_slot_and_lease() -> None:
    book = _with_running(job := _job())

    assert (book.tell(job), book.tell(job)) == (True, False)
    assert (book.running, book.held()) == (1, [job])


def test_close_of_a_job_whose_handler_goes_on_drops_the_lease_and_keeps_the_slot() -> None:
    book = _with_running(job := _job())
    book.tell(job)

    book.close(job)

    assert (book.running, book.held(), book.stage(job)) == (1, [], Stage.LOST)
    assert not book.ended(job)
    assert (book.running, book.stage(job)) == (0, None)


def test_ended_before_the_report_of_its_time_being_up_is_taken_reports_nothing_more() -> None:
    book = _with_running(job := _job())
    book.tell(job)

    assert not book.ended(job)
    assert (book.running, book.held()) == (0, [job])
    book.close(job)
    assert book.held() == []


def test_withdraw_takes_the_running_jobs_only_and_keeps_their_leases() -> None:
    running, reported, lost = _job(1), _job(2), _job(3)
    book = _with_running(running, reported, lost)
    book.ended(reported)
    book.lose(lost)

    assert book.withdraw() == [running]
    assert book.held() == [running, reported]
    assert not book.ended(running)
    assert book.held() == [running, reported]


def test_close_forgets_the_job_and_frees_what_it_took() -> None:
    book = _with_running(job := _job())
    book.ended(job)

    book.close(job)
    book.close(job)

    assert (book.running, book.free, book.held()) == (0, 10, [])


def test_free_while_too_many_reports_are_not_taken_is_none() -> None:
    book = _book(5, reporting_max=2)
    book.answered(book.ask(), jobs := [_job(1), _job(2), _job(3)])
    book.start()
    for job in jobs[:2]:
        book.ended(job)

    assert book.free == 0
    book.close(jobs[0])
    assert book.free == 4


# Limits of types


def test_ask_says_what_is_left_of_the_types_that_are_limited() -> None:
    book = _with_running(_job(1, "a"), _job(2, "b"), by_type={"a": 1, "c": 2})

    assert book.ask() == Ask(8, {"a": 0, "c": 2})


def test_answered_with_more_of_a_type_than_asked_does_not_take_them() -> None:
    book = _book(5, by_type={"a": 1})
    jobs = [_job(1, "a"), _job(2, "a"), _job(3, "b")]

    assert book.answered(book.ask(), jobs) == [jobs[1]]
    assert book.start() == [jobs[0], jobs[2]]


def test_jobs_held_ahead_count_for_the_limit_of_their_type() -> None:
    book = _book(1, ahead=5, by_type={"a": 2})
    book.answered(book.ask(), [_job(1, "a"), _job(2, "a")])

    assert book.ask().by_type == {"a": 0}


@pytest.mark.parametrize("leave", ["ended", "lose"])
def test_outgrown_once_a_job_of_a_type_that_was_left_out_gives_its_slot_back(leave: str) -> None:
    book = _with_running(job := _job(1, "a"), by_type={"a": 1})
    ask = book.ask()

    assert not book.outgrown(ask)
    getattr(book, leave)(job)
    assert book.outgrown(ask) is (leave == "ended")
    if leave == "lose":
        book.ended(job)
    assert book.outgrown(ask)


def test_outgrown_when_a_type_was_asked_for_all_the_same_is_not() -> None:
    book = _with_running(job := _job(1, "a"), by_type={"a": 2})
    ask = book.ask()

    book.ended(job)

    assert not book.outgrown(ask)


def test_free_of_a_worker_of_limited_types_only_is_what_is_left_of_them() -> None:
    book = _book(10, by_type={"a": 1, "b": 2}, only_limited=True)

    assert book.ask().count == 3
    assert book.free == 0


@pytest.mark.parametrize(("concurrency", "ahead"), [(1, 0), (3, 0), (2, 3)])
@given(data=st.data())
def test_book_after_any_moves_never_exceeds_its_limits(
    concurrency: int, ahead: int, data: st.DataObject
) -> None:
    book = _book(concurrency, ahead=ahead, reporting_max=4, by_type={"a": 1})
    jobs: list[Job] = []
    running: list[Job] = []
    asked: Ask | None = None
    for number in range(data.draw(st.integers(0, 30))):
        match data.draw(
            st.sampled_from(["ask", "answer", "start", "end", "lose", "tell", "close", "withdraw"])
        ):
            case "ask" if asked is None:
                asked = book.ask()
            case "answer" if asked is not None:
                brought = [
                    _job(number * 10 + each, data.draw(st.sampled_from("ab")))
                    for each in range(data.draw(st.integers(0, 6)))
                ]
                unwanted = book.answered(asked, brought)
                jobs += [job for job in brought if job not in unwanted]
                asked = None
            case "start":
                running += book.start()
            case "end" if running:
                book.ended(running.pop(data.draw(st.integers(0, len(running) - 1))))
            case "withdraw":
                book.withdraw()
                book.withdraw_waiting()
            case "lose" | "tell" | "close" as move if jobs:
                getattr(book, move)(data.draw(st.sampled_from(jobs)))
        slotted = [job for job in jobs if book.stage(job) in _SLOTTED]
        waiting = [job for job in jobs if book.stage(job) is Stage.WAITING]
        pending = 0 if asked is None else asked.count
        assert sorted(slotted, key=id) == sorted(running, key=id)
        assert book.running == len(running) <= concurrency
        assert len(running) + len(waiting) + pending + book.free <= concurrency + ahead
        assert sum(job.type == "a" for job in [*slotted, *waiting]) <= 1
        assert book.holds_any == bool(book.held())
    for job in running:
        book.ended(job)
    book.withdraw_waiting()
    for job in jobs:
        book.close(job)
    assert (book.running, book.held()) == (0, [])


_SLOTTED = {Stage.RUNNING, Stage.OVERDUE, Stage.WITHDRAWN, Stage.LOST}


def _fields(job: Job) -> dict[str, Any]:
    return {name: getattr(job, name) for name in job.__struct_fields__}
