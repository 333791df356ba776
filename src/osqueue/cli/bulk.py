"""Retrying or cancelling all jobs that are meant: first it is said how many, and asked."""

from __future__ import annotations

import sys
from typing import Final

import msgspec
import typer

from osqueue.cli.asking import ask
from osqueue.cli.failures import USAGE, CliError
from osqueue.cli.options import Broker
from osqueue.cli.output import say
from osqueue.client import OsqueueClient
from osqueue.config import BATCH_JOBS_MAX
from osqueue.errors import OsqueueError
from osqueue.wire.messages import ErrorBody

__all__ = ["JobsMeant", "act"]

_DONE: Final = {"retry": "queued again", "cancel": "cancelled"}
REASONS_SHOWN_MAX: Final = 3


class JobsMeant(msgspec.Struct, frozen=True, kw_only=True):
    """Which jobs, by what is said of them."""

    status: str | None = None
    job_type: str | None = None
    text: str | None = None

    @property
    def told(self) -> str:
        """For people: `dead jobs of type email:send with 'timeout'`."""
        kind = "jobs" if self.status is None else f"{self.status} jobs"
        of = "" if self.job_type is None else f" of type {self.job_type}"
        text = "" if self.text is None else f" with {self.text!r}"
        return f"{kind}{of}{text}"


def act(broker: Broker, action: str, meant: JobsMeant, *, yes: bool) -> None:
    """Do it to as many jobs as are meant now, once that was agreed to."""
    count = ask(
        broker,
        lambda client: client.count_jobs(
            status=meant.status, job_type=meant.job_type, text=meant.text
        ),
    ).count
    if count == 0:
        say(f"no {meant.told}")
        return
    if not yes:
        _agree(f"{action} {count:,} {meant.told}?")
    done, reasons = ask(broker, lambda client: _act(client, action, meant, count))
    say(f"{done:,} {_DONE[action]}")
    if reasons:
        raise CliError("; ".join(reasons))


def _agree(question: str) -> None:
    """Ask at the terminal; who cannot be asked has to say it beforehand."""
    if not sys.stdin.isatty():
        raise CliError(f"{question} Say --yes", code=USAGE)
    typer.confirm(question, abort=True, err=True)


async def _act(
    client: OsqueueClient, action: str, meant: JobsMeant, count: int
) -> tuple[int, list[str]]:
    """How many it was done to, of the oldest so many, and why not to others."""
    done, looked_at = 0, 0
    failed: list[ErrorBody] = []
    while looked_at < count:
        try:
            answer = await client.act_on_jobs(
                action,
                status=meant.status,
                job_type=meant.job_type,
                text=meant.text,
                max_jobs=min(BATCH_JOBS_MAX, count - looked_at),
            )
        except OsqueueError as error:
            raise _broken_off(error, done, _DONE[action]) from error
        done += answer.done
        seen = answer.done + answer.skipped + len(answer.failed)
        looked_at += seen
        failed += [each.error for each in answer.failed if each.error is not None]
        if not answer.left or not seen:
            break
    return done, [error.message for error in failed[:REASONS_SHOWN_MAX]]


def _broken_off(error: OsqueueError, done: int, how: str) -> CliError:
    doubt = "" if error.applied == "no" else ", and perhaps up to 1,000 more: look before again"
    return CliError(f"{error.message}; {done:,} were {how}{doubt}")
