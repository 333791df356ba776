"""Figures of the pure model, as JSON lines: operations per second, encoding, loading, memory."""

from __future__ import annotations

import gc
import json
import resource
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec import Raw

from osqueue.allocator import keep_large_buffers
from osqueue.config import QueueLimits
from osqueue.model.apply import apply
from osqueue.model.job import Moment
from osqueue.model.ops import Claim, Complete, LeaseRef, NewJob, Op, Submit
from osqueue.model.outcomes import Claimed, Done, Results, Submitted
from osqueue.model.snapshot import decode_state, encode_state
from osqueue.model.state import QueueState

OPS = 20_000
BACKLOG = 100_000
PAYLOAD = Raw(b'{"to":"' + b"x" * 191 + b'"}')
NOW = Moment(1_800_000_000_000, 1_000)


def emit(what: str, **figures: object) -> None:
    print(json.dumps({"bench": f"model.{what}", **figures}), flush=True)


def job(name: str) -> NewJob:
    return NewJob(f"0190163d-8694-739b-aea5-{name:0>12}", "email:send", PAYLOAD)


def fresh_state(backlog: int) -> QueueState:
    state = QueueState(QueueLimits(state_bytes_max=2**40))
    for number in range(backlog):
        apply(state, Submit((job(f"b{number}"),)), NOW)
    encode_state(state)
    return state


def rate(ops: Sequence[Op], run: Callable[[Op], object]) -> float:
    started = time.perf_counter()
    for op in ops:
        run(op)
    return len(ops) / (time.perf_counter() - started)


def ops_per_second(backlog: int) -> dict[str, float]:
    state = fresh_state(backlog)
    gc.collect()
    submits = [Submit((job(f"s{number}"),)) for number in range(OPS)]
    assert isinstance(apply(state, submits[0], NOW), Submitted)
    figures = {"submit": rate(submits[1:], lambda op: apply(state, op, NOW))}
    claims = [
        Claim("worker-1", f"lease{number}", ("email:send",), 1, f"claim{number}")
        for number in range(OPS)
    ]
    grants: list[Claimed] = []
    figures["claim"] = rate(claims, lambda op: grants.append(apply(state, op, NOW)))  # type: ignore[arg-type] # claims answer Claimed
    completes = [
        Complete("worker-1", (LeaseRef(claimed.grants[0].id, claimed.grants[0].lease),))
        for claimed in grants
    ]
    answer = apply(state, completes[0], NOW)
    assert answer == Results((Done(),)), answer
    figures["complete"] = rate(completes[1:], lambda op: apply(state, op, NOW))
    return figures


def bench_ops() -> None:
    best: dict[int, dict[str, float]] = {}
    for backlog in (0, BACKLOG):
        runs = [ops_per_second(backlog) for _ in range(3)]
        best[backlog] = {name: max(run[name] for run in runs) for name in runs[0]}
        emit("ops_per_s", backlog=backlog, **{k: round(v) for k, v in best[backlog].items()})
    ratios = {k: round(best[BACKLOG][k] / v, 2) for k, v in best[0].items()}
    emit("backlog_over_empty", target=0.7, **ratios)


def bench_encode() -> None:
    state = fresh_state(BACKLOG)
    changed = list(state.order)[::100]
    times = []
    data = b""
    for _ in range(7):
        for touched in changed:
            state.order.touch(touched)
        started = time.perf_counter()
        data = encode_state(state)
        times.append(time.perf_counter() - started)
    emit(
        "encode_1_percent_changed_ms",
        jobs=BACKLOG,
        bytes=len(data),
        first=round(times[0] * 1e3, 1),
        median=round(sorted(times)[3] * 1e3, 1),
        worst=round(max(times) * 1e3, 1),
        target=20,
    )


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def bench_load() -> None:
    data = encode_state(fresh_state(BACKLOG))
    gc.collect()
    limits = QueueLimits(state_bytes_max=2**40)
    times = []
    for _ in range(3):
        started = time.perf_counter()
        decode_state(data, limits=limits, now=NOW)
        times.append(time.perf_counter() - started)
    emit("load_s", jobs=BACKLOG, bytes=len(data), best=round(min(times), 3), target=1.2)


def bench_memory() -> None:
    """In a process of its own: what 100,000 loaded and once encoded jobs hold."""
    import subprocess  # noqa: PLC0415 - the child imports this file, too
    import sys  # noqa: PLC0415

    code = (
        "import gc, sys; sys.path.insert(0, 'bench'); import model as m;"
        "data = m.encode_state(m.fresh_state(100)); gc.collect(); before = m.resident_bytes();"
        "state = m.fresh_state(m.BACKLOG); gc.collect();"
        "print((m.resident_bytes() - before) / m.BACKLOG)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    emit("resident_bytes_per_job", jobs=BACKLOG, figure=round(float(done.stdout)), target=1_200)


def main() -> None:
    keep_large_buffers()  # as a broker process does
    bench_ops()
    bench_encode()
    bench_load()
    bench_memory()


if __name__ == "__main__":
    main()
