"""``osqueue token new``, ``osqueue token ls`` and ``osqueue token revoke``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from osqueue.cli import options
from osqueue.wire.roles import Role

__all__ = ["token"]

token = typer.Typer()


ListFile = Annotated[
    Path,
    typer.Option(
        "--file",
        metavar="PATH",
        envvar="OSQUEUE_TOKENS_FILE",
        help="The list of tokens that brokers read.",
    ),
]
NewListFile = Annotated[
    Path | None,
    typer.Option(
        "--file",
        metavar="PATH",
        envvar="OSQUEUE_TOKENS_FILE",
        help="Add the token's line to this list, which is made if need be.",
    ),
]


@token.callback(invoke_without_command=True)
def root(context: typer.Context) -> None:
    """Make tokens for those who call brokers, list them, and revoke them."""
    if context.invoked_subcommand is None:
        context.get_help()


@token.command()
def new(
    context: typer.Context,
    *,
    name: Annotated[
        str, typer.Option("--name", metavar="NAME", help="Who is to have it, for logs.")
    ],
    role: Annotated[
        list[Role],
        typer.Option(
            "--role",
            metavar="ROLE",
            help="What it opens: observe, produce, work, or admin, which opens all; repeatable.",
        ),
    ],
    file: NewListFile = None,
    json_output: options.JsonOutput = False,
    debug: options.Debug = False,
) -> None:
    """Make a token and print it: it is stored nowhere, and shown only now."""
    options.set_up(context, debug=debug)
    from osqueue.cli import tokens  # noqa: PLC0415 - heavy

    tokens.new(name, role, file, json_output=json_output)


@token.command()
def ls(
    context: typer.Context,
    *,
    file: ListFile,
    json_output: options.JsonOutput = False,
    debug: options.Debug = False,
) -> None:
    """List the tokens: their names, roles and ids."""
    options.set_up(context, debug=debug)
    from osqueue.cli import tokens  # noqa: PLC0415 - heavy

    tokens.ls(file, json_output=json_output)


@token.command()
def revoke(
    context: typer.Context,
    which: Annotated[str, typer.Argument(metavar="NAME|ID", help="Whose, or which one.")],
    *,
    file: ListFile,
    debug: options.Debug = False,
) -> None:
    """Take tokens from the list; brokers that read it refuse them within seconds."""
    options.set_up(context, debug=debug)
    from osqueue.cli import tokens  # noqa: PLC0415 - heavy

    tokens.revoke(which, file)
