"""Worker processes: one, several under a supervisor, or one that is loaded anew."""

from __future__ import annotations

import asyncio

from osqueue.cli.workers.plan import WorkerPlan

__all__ = ["run"]


def run(plan: WorkerPlan) -> int:
    """Do what was asked; answers the exit code.

    A limit on memory takes a supervisor, too: a process that reaches it is to be replaced.
    """
    if plan.reload:
        from osqueue.cli.workers.reloader import reload  # noqa: PLC0415 - loads what it needs

        return asyncio.run(reload(plan))
    if plan.processes is not None or plan.memory_bytes_max is not None:
        from osqueue.cli.workers.supervisor import supervise  # noqa: PLC0415 - the same

        return asyncio.run(supervise(plan))
    from osqueue.cli.workers import running  # noqa: PLC0415 - loads the client and its packages

    return running.run(plan)
