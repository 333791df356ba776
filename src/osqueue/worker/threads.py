"""Plain functions, run in threads of the worker's own."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar, cast

import msgspec

__all__ = ["Threads"]


_T = TypeVar("_T")


class _Outcome(msgspec.Struct, frozen=True):
    value: Any = None
    error: BaseException | None = None


class Threads:
    """At most ``count`` at once; they are made as they are needed."""

    def __init__(self, count: int) -> None:
        self._executor = ThreadPoolExecutor(count, thread_name_prefix="osqueue")

    async def run(self, function: Callable[..., _T], *arguments: Any) -> _T:
        """Call it in a thread, with the context variables of here. Raises what it raises."""
        context = contextvars.copy_context()
        outcome = await asyncio.get_running_loop().run_in_executor(
            self._executor, context.run, _outcome, function, arguments
        )
        if outcome.error is not None:
            raise outcome.error
        return cast("_T", outcome.value)

    def close(self) -> None:
        """Take no more. Does not wait for what runs, which nobody can end."""
        self._executor.shutdown(wait=False, cancel_futures=True)


def _outcome(function: Callable[..., Any], arguments: tuple[Any, ...]) -> _Outcome:
    """Whatever it raises, as a value: a future takes no `StopIteration`, and would never end."""
    try:
        return _Outcome(function(*arguments))
    except StopIteration as error:
        told = RuntimeError(f"the handler raised StopIteration: {error}")
        told.__cause__ = error
        return _Outcome(error=told)
    except BaseException as error:  # noqa: BLE001 - it is raised again, on the loop
        return _Outcome(error=error)
