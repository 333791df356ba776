"""``osqueue doctor``."""

from __future__ import annotations

import typer

from osqueue.cli import options

__all__ = ["doctor"]


def doctor(
    context: typer.Context,
    *,
    storage: options.NamedStorage = None,
    json_output: options.JsonOutput = False,
    debug: options.Debug = False,
) -> int:
    """Find out whether a store can carry a queue, and what is wrong if not.

    Writes a scratch object and removes it. Exits with 0 when the store is fit, with 1 when not.
    """
    options.set_up(context, debug=debug)
    store = options.open_named_storage(context, storage)
    from osqueue.cli import diagnosing  # noqa: PLC0415 - loads the stores and their packages

    return diagnosing.diagnose(store, json_output=json_output)
