"""``osqueue demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from osqueue.cli import options
from osqueue.cli.failures import require_broker

__all__ = ["demo"]


BROKERS_MAX: Final = 5
"""More would show nothing more."""


def demo(  # noqa: PLR0913 - the signature is the list of options
    context: typer.Context,
    *,
    data: Annotated[
        Path, typer.Option(metavar="DIR", help="Where the queue and the results live.")
    ] = Path(".osqueue-demo"),
    brokers: Annotated[
        int, typer.Option(metavar="N", help="Broker processes: one leads, the others stand by.")
    ] = 2,
    workers: Annotated[int, typer.Option(metavar="N", help="Worker processes.")] = 2,
    port: Annotated[
        int,
        typer.Option(
            metavar="PORT", help="The first broker's, the others' follow; 0 takes free ones."
        ),
    ] = 0,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the broker that leads running at the end.")
    ] = False,
    open_page: Annotated[
        bool, typer.Option("--open", help="Open the dashboard in a browser.")
    ] = False,
    limit: Annotated[int | None, typer.Option(metavar="N", hidden=True)] = None,
    debug: options.Debug = False,
) -> int:
    """Index Python's standard library with real brokers and worker processes.

    One job per file. Kill any of the processes: another broker takes over, and
    who died is started again. Kill all of them: started again it carries on.
    In the end it checks that nothing was lost.
    """
    options.set_up(context, debug=debug)
    require_broker("the demo")
    options.check_range(context, "brokers", brokers, least=1, most=BROKERS_MAX)
    options.check_range(context, "port", port, least=0, most=65_536 - brokers)
    options.check_range(context, "workers", workers, least=1, most=64)
    from osqueue.cli.demo import show  # noqa: PLC0415 - loads the client and its packages

    plan = show.DemoPlan(
        data=data,
        brokers=brokers,
        workers=workers,
        port=port,
        keep=keep,
        open_page=open_page,
        limit=limit,
    )
    return show.run(plan)
