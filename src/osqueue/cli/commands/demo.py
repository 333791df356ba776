"""``osqueue demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from osqueue.cli import options
from osqueue.cli.failures import require_broker

__all__ = ["demo"]


def demo(
    context: typer.Context,
    *,
    data: Annotated[
        Path, typer.Option(metavar="DIR", help="Where the queue and the results live.")
    ] = Path(".osqueue-demo"),
    workers: Annotated[int, typer.Option(metavar="N", help="Worker processes.")] = 2,
    port: Annotated[
        int, typer.Option(metavar="PORT", help="The broker's; 0 takes a free one.")
    ] = 0,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the broker running at the end.")
    ] = False,
    limit: Annotated[int | None, typer.Option(metavar="N", hidden=True)] = None,
    debug: options.Debug = False,
) -> int:
    """Index Python's standard library with a real broker and worker processes.

    One job per file. Kill any of the processes, or all of them: started again
    it carries on, and in the end it checks that nothing was lost.
    """
    options.set_up(context, debug=debug)
    require_broker("the demo")
    options.check_range(context, "port", port, least=0, most=65_535)
    options.check_range(context, "workers", workers, least=1, most=64)
    from osqueue.cli.demo import show  # noqa: PLC0415 - loads the client and its packages

    plan = show.DemoPlan(data=data, workers=workers, port=port, keep=keep, limit=limit)
    return show.run(plan)
