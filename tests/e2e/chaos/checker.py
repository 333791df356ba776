"""All the laws of a history, as pure functions of it and of what stood in the store at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tests.e2e.chaos import laws_of_calls, laws_of_jobs, laws_of_leaders, laws_of_reads
from tests.e2e.chaos.ending import Ending
from tests.e2e.chaos.findings import Finding
from tests.e2e.chaos.history import History

__all__ = ["LAWS", "Finding", "check"]

Law = Callable[[History, Ending], Iterable[Finding]]

LAWS: tuple[Law, ...] = (
    laws_of_jobs.ended_once,
    laws_of_jobs.known,
    laws_of_jobs.one_lease_completes,
    laws_of_jobs.executed_once,
    laws_of_calls.answered,
    laws_of_calls.busy,
    laws_of_calls.leases_kept,
    laws_of_leaders.one_leader,
    laws_of_leaders.state_goes_forward,
    laws_of_leaders.brokers_live,
    laws_of_reads.reads_go_forward,
    laws_of_reads.consistent_reads,
    laws_of_reads.jobs_found,
)


def check(history: History, ending: Ending) -> list[Finding]:
    """What breaks a law."""
    return [finding for law in LAWS for finding in law(history, ending)]
