"""Handlers for processes, well and badly behaved. Imported there, by their names."""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from pydantic import BaseModel, field_validator

from osqueue.errors import Discard, Retry
from osqueue.jobs import Jobs
from osqueue.worker.job_context import JobContext

FOREVER_S = 600


jobs = Jobs()


@dataclass
class Email:
    to: str
    copies: int = 1


@jobs.job("email:send", executor="process", keep_result=True)
def send_email(email: Email) -> Email:
    assert isinstance(email, Email)
    return email


class Odd(BaseModel):
    """Its check fails of itself."""

    to: str

    @field_validator("to")
    @classmethod
    def check(cls, _to: str) -> str:
        raise RuntimeError("the address book is closed")


def take_odd(payload: Odd) -> None: ...


@jobs.job("email:count", executor="process", keep_result=True)
def count_emails(email: Email) -> int:
    return str(email)  # type: ignore[return-value]


def untyped(payload):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201 - it says nothing
    return type(payload).__name__


def typed(payload: Email, ctx: JobContext) -> str:
    return f"{payload.to}, attempt {ctx.attempt} of {ctx.job.raw_payload.decode()}"


def echo(payload: Any) -> Any:
    return payload


def pid(_payload: Any) -> int:
    return os.getpid()


async def aecho(payload: Any) -> Any:
    await asyncio.sleep(0)
    return payload


def know(_payload: Any, ctx: Any) -> dict[str, Any]:
    names = ("job_id", "type", "attempt", "max_attempts", "created_at", "priority")
    known = {name: getattr(ctx, name) for name in names}
    return {**known, "deadline": ctx.deadline, "cancelled": ctx.cancelled.is_set()}


def fail(payload: Any) -> NoReturn:
    raise ValueError(f"not {payload}")


class UnprintableError(Exception):
    """One that cannot be pickled or shown."""

    def __init__(self) -> None:
        super().__init__(socket.socket())

    def __str__(self) -> NoReturn:
        raise RuntimeError("no")

    def __reduce__(self) -> NoReturn:
        raise RuntimeError("no")


def fail_unprintably(_payload: Any) -> NoReturn:
    raise UnprintableError


def retry(_payload: Any) -> NoReturn:
    raise Retry(2.5, "the other side is busy")


def retry_oddly(_payload: Any) -> NoReturn:
    raise Retry("soon", UnprintableError())  # type: ignore[arg-type]


def retry_very_late(_payload: Any) -> NoReturn:
    raise Retry(10**400, "lone \udcff surrogate")


def discard_at_length(_payload: Any) -> NoReturn:
    raise Discard("x" * 1_000_000)


def run_out_beside_a_thread(_payload: Any) -> NoReturn:
    """The interpreter would wait for the thread."""
    threading.Thread(target=time.sleep, args=(FOREVER_S,)).start()
    raise MemoryError


def discard(_payload: Any) -> NoReturn:
    raise Discard("no such address")


def leave(_payload: Any) -> NoReturn:
    sys.exit(3)


def leave_at_once(_payload: Any) -> NoReturn:
    os._exit(7)


def kill_itself(payload: Any) -> None:
    os.kill(os.getpid(), payload)


def crash(_payload: Any) -> None:
    ctypes.string_at(0)


def hang(payload: Any) -> None:
    """Tell that it hangs, and with which processes, by a file."""
    child = subprocess.Popen(["sleep", str(FOREVER_S)])
    tell(payload, f"{os.getpid()} {child.pid}")
    time.sleep(FOREVER_S)


def hang_natively(payload: Any) -> None:
    """The same without ever letting another thread run."""
    child = subprocess.Popen(["sleep", str(FOREVER_S)])
    tell(payload, f"{os.getpid()} {child.pid}")
    ctypes.PyDLL(None).sleep(FOREVER_S)


def wait_until_told(payload: Any, ctx: Any) -> str:
    tell(payload, str(os.getpid()))
    ctx.cancelled.wait(FOREVER_S)
    tell(payload, "told to end")
    return "ended"


async def await_until_told(payload: Any) -> None:
    tell(payload, str(os.getpid()))
    try:
        await asyncio.sleep(FOREVER_S)
    finally:
        tell(payload, "told to end")


def eat(_payload: Any) -> None:
    eaten = []
    while True:
        eaten.append(bytearray(8 * 1024 * 1024))


def eat_for_good(_payload: Any) -> None:
    """Keep what it took, so that there is no memory left for its end."""
    kept: list[object] = []
    globals()["kept"] = kept
    size = 8 * 1024 * 1024
    while size:
        try:
            kept.append(bytearray(size))
        except MemoryError:
            size //= 2
    raise MemoryError


def unencodable(_payload: Any) -> Any:
    return {"made": object()}


def large(payload: Any) -> str:
    return "x" * int(payload)


def report_often(payload: Any, ctx: Any) -> None:
    for done in range(payload):
        ctx.progress(done, payload, "x" * 1_000)


def report_once(payload: Any, ctx: Any) -> None:
    ctx.progress(1, 2, "half")
    ctx.progress(2, 2, "all")
    while not Path(payload).exists():
        time.sleep(0.001)


def report_nonsense(_payload: Any, ctx: Any) -> None:
    ctx.progress(float("nan"))


def write_into_pipe(payload: Any) -> None:
    for fd in _sockets():
        os.write(fd, payload.encode())


def close_pipe(_payload: Any) -> None:
    for fd in _sockets():
        os.close(fd)


def fork(payload: Any) -> str:
    """Both return; only one of them may be heard."""
    return "parent" if os.fork() else str(payload)


def fork_and_leave(_payload: Any) -> None:
    """What a daemon does: the process ends, its fork lives on."""
    if os.fork():
        os._exit(0)


def be_deaf(payload: Any) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    tell(payload, str(os.getpid()))
    time.sleep(FOREVER_S)


def be_signalled(_payload: Any) -> str:
    os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGINT)
    return "still here"


def terminate_a_child(_payload: Any) -> int:
    child = subprocess.Popen(["sleep", str(FOREVER_S)])
    child.terminate()
    return child.wait()


def say(payload: Any) -> None:
    print(payload)  # noqa: T201 - it is looked for
    logging.getLogger("handlers").info("logged: %s", payload)
    logging.getLogger("handlers").debug("not shown")


def tell(path: Any, what: str) -> None:
    """Put a file where a test looks, all at once."""
    draft = Path(f"{path}.draft")
    draft.write_text(what)
    draft.rename(path)


def _sockets() -> list[int]:
    every = (int(each.name) for each in Path("/proc/self/fd").iterdir())
    return [fd for fd in every if fd > 2 and _is_socket(fd)]


def _is_socket(fd: int) -> bool:
    try:
        return str(Path(f"/proc/self/fd/{fd}").readlink()).startswith("socket:")
    except OSError:
        return False
