"""The commands put together, and how each run of them ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from osqueue import __version__
from osqueue.cli.commands.archive import archive
from osqueue.cli.commands.broker import broker
from osqueue.cli.commands.dead import dead
from osqueue.cli.commands.demo import demo
from osqueue.cli.commands.doctor import doctor
from osqueue.cli.commands.failover import failover
from osqueue.cli.commands.jobs import jobs
from osqueue.cli.commands.pause import pause, resume
from osqueue.cli.commands.priority import NEGATIVE, priority
from osqueue.cli.commands.producer import producer
from osqueue.cli.commands.schedules import schedules
from osqueue.cli.commands.settings import settings
from osqueue.cli.commands.stats import stats
from osqueue.cli.commands.status import status
from osqueue.cli.commands.submit import submit
from osqueue.cli.commands.token import token
from osqueue.cli.commands.worker import worker
from osqueue.cli.failures import FAILURE, CliError, describe_usage
from osqueue.cli.invocation import Invocation
from osqueue.cli.output import say
from osqueue.cli.signals import StopRequestedError
from osqueue.errors import OsqueueError

__all__ = ["run"]

INTERRUPTED = 130

app = typer.Typer(
    name="osqueue",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(broker)
app.command()(worker)
app.command()(producer)
app.command()(submit)
app.command()(stats)
app.command()(status)
app.command()(settings)
app.command()(failover)
app.command()(pause)
app.command()(resume)
app.add_typer(jobs, name="jobs")
app.command()(dead)
app.command(context_settings=NEGATIVE)(priority)
app.add_typer(schedules, name="schedules")
app.add_typer(archive, name="archive")
app.add_typer(token, name="token")
app.command()(demo)
app.command()(doctor)


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    *,
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    """A durable job queue that needs no database, only a bucket.

    See it work: `osqueue demo`. Then, in three terminals: `osqueue broker`,
    `osqueue worker MODULE:NAME`, `osqueue submit TYPE JSON`.
    """
    if version:
        say(f"osqueue {__version__}")
    elif context.invoked_subcommand is None:
        context.get_help()


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command; answers the exit code."""
    invocation = Invocation()
    try:
        code = app(
            args=None if arguments is None else list(arguments),
            prog_name="osqueue",
            standalone_mode=False,
            obj=invocation,
        )
    except Exception as error:  # noqa: BLE001 - the outermost: whatever it is becomes one line
        return _end(invocation, error)
    except KeyboardInterrupt:
        return INTERRUPTED
    return code if isinstance(code, int) else 0


def _end(invocation: Invocation, error: Exception) -> int:
    """Say how a command ended that did not come to its end; answers the exit code."""
    match error:
        case StopRequestedError():
            return error.exit_code
        case typer.TyperException():
            invocation.fail(describe_usage(error), error)
            return error.exit_code
        case typer.Abort():
            return INTERRUPTED
        case CliError():
            invocation.fail(error.message, error)
            return error.code
        case OsqueueError():
            invocation.fail(error.message, error)
        case _:
            advice = "" if invocation.debug else " (--debug shows where)"
            invocation.fail(f"unexpected: {type(error).__name__}: {error}{advice}", error)
    return FAILURE
