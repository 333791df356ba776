"""Several processes that share a queue, on one store with its faults; now and then a leader.

All have the same time, but one of them may stand still while it passes. The store is honest in one
thing only: a write takes effect when its precondition holds, at the moment when it gets there.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any
from unittest.mock import patch

from osqueue.config import QueueLimits
from osqueue.engine.fate import Fate, fate_among_writers
from osqueue.engine.requests import Conflicted, Gone, Held, Instant, Write, Written
from osqueue.engine.tenure import Sharing
from osqueue.model.invariants import check
from osqueue.model.job import Moment
from osqueue.model.lineage import CommitId
from osqueue.model.ops import Complete, Pause, Resume, Submit
from osqueue.model.outcomes import Claimed, Done, Grant, Results, Submitted
from osqueue.model.snapshot import Origin, decode_state, read_origin
from osqueue.storage.protocol import Stored, Version

from ..traces.conftest import FRESH
from ..traces.harness import START, Trace
from ..traces.objects import edited, older, released, shared_by, taken_over
from .pausing import Pausing

__all__ = ["SharedWorld"]

LIMITS = QueueLimits(renewal_written_ms=10_000, finished_max=100_000)
TIMEOUT = LIMITS.lease_timeout_ms
PROCESSES = 3


class SharedWorld:
    """The object, those who write it, and all that was promised to their callers.

    ``writers_max``: how many entries the lineage has room for.
    """

    def __init__(self, writers_max: int) -> None:
        self.now = START
        self.versions = 0
        self.landed: set[str] = set()
        """The commits that ever stood in the object."""
        self.ruled_out: set[str] = set()
        """Those of which their writer has found that they were not applied."""
        self.ever: set[str] = set()
        """Ids of jobs that stood in any version."""
        self.leases: set[str] = set()
        """Those that stood in any version."""
        self.stood_since: dict[tuple[str, str, int], int] = {}
        """Since when a lease stands in the object with that heartbeat."""
        self.late: list[Write] = []
        self.pausing = Pausing()
        self.submitted: Counter[str] = Counter()
        self.acked: set[str] = set()
        self.not_applied: set[str] = set()
        self.completed: dict[str, str] = {}
        """By job, the lease that its completion was acknowledged to."""
        self.forgot = False
        self.starts = self.epoch = 0
        self.current = self.becomes(FRESH.encode())
        self.seen: dict[Trace, int] = {}
        self.grants: dict[Trace, list[Grant]] = {}
        self.positions: dict[Trace, tuple[int, int]] = {}
        self.processes: list[Trace] = []
        self.patches: list[Any] = [
            patch("osqueue.engine.tenure.fate_among_writers", self.fate),
            patch("osqueue.engine.fate.LINEAGE_WRITERS_MAX", writers_max),
            patch("osqueue.model.lineage.LINEAGE_WRITERS_MAX", writers_max),
        ]
        for each in self.patches:
            each.start()
        for _ in range(PROCESSES):
            self.processes.append(self.process())

    def close(self) -> None:
        for each in self.patches:
            each.stop()

    def fate(self, origin: Origin | None, commit: CommitId, *, base: Origin) -> Fate:
        """What a process concludes, compared with what has happened."""
        fate = fate_among_writers(origin, commit, base=base)
        match fate:
            case Fate.NOT_APPLIED:
                assert str(commit) not in self.landed, f"{commit} has landed"
                self.ruled_out.add(str(commit))
            case Fate.LANDED:
                assert str(commit) in self.landed, f"{commit} has not landed"
        return fate

    def pause_or_resume(self, process: Trace, op: Pause | Resume) -> None:
        self.pausing.asked(process.ask(op))
        self.look(process)

    # The store

    def becomes(self, data: bytes) -> Stored:
        self.versions += 1
        whole = json.loads(data)
        self.landed.add(whole.get("commit") or "")
        self.epoch = max(self.epoch, whole.get("epoch") or 0)
        self.ever |= _known(whole)
        self.leases |= {job.get("lease") or "" for job in whole.get("finished", ())}
        before, self.stood_since = self.stood_since, {}
        for job in whole["jobs"]:
            if job["status"] == "in_progress":
                self.leases.add(job["lease"])
                key = job["id"], job["lease"], job["heartbeat"]
                self.stood_since[key] = before.get(key, self.now.mono)
        self.current = Stored(data, Version(f"w{self.versions}"))
        return self.current

    def put(self, write: Write) -> Written | Conflicted | Gone:
        """A write arrives."""
        if write.if_version != self.current.version:
            return Conflicted()
        self._continues(json.loads(self.current.data), json.loads(write.data))
        return Written(self.becomes(write.data).version)

    def _continues(self, before: Any, after: Any) -> None:
        """A version is made from the one that it replaces, and takes no lease before its time."""
        assert _known(before) <= _known(after)
        self.pausing.continues(before, after)
        assert before["completedTotal"] <= after["completedTotal"]
        assert after["commit"] not in self.landed, "a name is used once"
        assert after["commit"] not in self.ruled_out, "ruled out, and it landed"
        assert before.get("broker") is None or after["epoch"] > before.get("epoch", 0)
        writer = CommitId.parse(after["commit"])
        assert writer is not None
        left = {job["id"]: job for job in after["jobs"] if job["status"] != "in_progress"}
        attempts = {job["id"]: job["attempts"] for job in before["jobs"]}
        for (job_id, lease, _), since in self.stood_since.items():
            job = left.get(job_id, {})
            released = job.get("attempts", 0) < attempts[job_id]
            own = f"{writer.writer}/" in lease  # watched before it stood there
            expired = (job.get("lastError") or {}).get("type") == "LeaseExpired"
            if expired and not released and not own:
                stood = self.now.mono - since
                assert stood >= TIMEOUT, f"{lease} was taken back after {stood} ms"

    def tells(self, process: Trace, how: str) -> None:
        """A process's write meets its fate, and the process is told about it, or not."""
        write = process.write
        match how:
            case "ok":
                process.writes(self.put(write))
            case "lost request":
                process.unclear()
            case "lost reply":
                self.put(write)
                process.unclear()
            case "late":
                self.late.append(write)
                process.unclear()
            case "busy":
                process.busy()
            case "sent twice":
                self.put(write)
                process.conflicts()
        self.look(process)

    def answers(self, process: Trace, *, fails: bool = False) -> None:
        """A read, check or copy of a process is answered."""
        process.stored = self.current
        kind = min({"ReadBack", "Check", "Save"} & {*process.asks_for()})
        match kind:
            case "ReadBack":
                (process.fails_to_read if fails else process.reads)()
            case "Check":
                (process.fails_to_check if fails else process.checks)()
            case "Save":
                process.saves(None if fails else "kept")
        self.look(process)

    def lands(self, number: int) -> None:
        """A write that was long on its way arrives."""
        self.put(self.late.pop(number % len(self.late)))

    # Processes come and go

    def fresh_epoch(self) -> int:
        """Above all that were ever begun: in this world more begin in a second than one."""
        self.epoch = max(self.epoch, self.now.wall // 1_000) + 1
        return self.epoch

    def process(self) -> Trace:
        """A new one, by the rules of the start: beside a leader it takes the place."""
        self.starts += 1
        data, version = self.current.data, self.current.version
        origin = read_origin(data)
        if origin.epoch is None:
            epoch = self.fresh_epoch()
        else:
            epoch = origin.epoch + (origin.broker is not None)
        takes = origin.epoch is None or origin.broker is not None
        made = Trace(
            data,
            version=version,
            start=self.now,
            limits=LIMITS,
            tenure=Sharing.named(f"p{self.starts}", epoch=epoch, takes=takes),
        )
        self.seen[made], self.grants[made], self.positions[made] = 0, [], (0, 0)
        return made

    def replace(self, number: int, *, crash: bool) -> None:
        """A process is gone, and another one begins; what it was writing may still arrive."""
        old = self.processes[number]
        if crash:
            self.late += [action for action in old.todo if isinstance(action, Write)]
        else:
            old.finish()
            self.look(old)
        self.pausing.gone(old.asked)
        self.processes[number] = self.process()

    # Time

    def passes(self, ms: int, *, still: Trace | None = None) -> None:
        """Time goes on for all; ``still`` is not woken meanwhile."""
        self.now = Instant(self.now.wall + ms, self.now.mono + ms)
        for process in self.processes:
            (process.pause if process is still else process.runs)(ms)
            self.look(process)

    def goes_well(self, ms: int, *, still: Trace | None = None) -> None:
        """For a while the store does what it is asked, and says so."""
        until = self.now.mono + ms
        while True:
            for process in self.processes:
                while process is not still and process.end is None and process.todo:
                    if "Write" in process.asks_for():
                        self.tells(process, "ok")
                    else:
                        self.answers(process)
            if self.now.mono >= until:
                return
            wakes = [p.wake for p in self.processes if p.end is None and p is not still]
            ahead = min([until, *wakes]) - self.now.mono
            self.passes(max(1, ahead), still=still)

    def settle(self) -> None:
        """From here on nothing goes wrong; all stop cleanly."""
        for process in self.processes:
            if process.now != self.now:
                process.runs(0)
        self.goes_well(5_000)
        for process in self.processes:
            if process.end is None:
                process.stop()
            self.look(process)
        self.goes_well(5_000)
        for process in self.processes:
            process.finish()
            self.look(process)

    # Others

    def stranger_writes(self) -> None:
        """A script that lives for one commit."""
        data, name = self.current.data, f"s{self.versions}"
        origin = read_origin(data)
        if origin.epoch is None:
            epoch = self.fresh_epoch()
            commit = f"{epoch}-1-shared.{name}"
            self.becomes(edited(data, format=1, epoch=epoch, commit=commit, broker=None))
        elif origin.broker is None:
            self.becomes(shared_by(name, data))

    def leader_takes_over(self) -> None:
        before = read_origin(self.current.data).epoch
        epoch = self.fresh_epoch() if before is None else before + 1
        self.becomes(taken_over(self.current.data, epoch=epoch))

    def leader_releases(self) -> None:
        origin = read_origin(self.current.data)
        if origin.broker is not None and origin.epoch is not None:
            self.becomes(released(self.current.data))

    def edit(self) -> None:
        self.becomes(edited(self.current.data, note=self.versions))

    def older_writes(self) -> None:
        """An older implementation is at work on the object, and goes away."""
        self.forgot = True
        self.pausing.forget()
        self.becomes(older(self.current.data))
        self.acked &= _known(json.loads(self.current.data))

    # What must hold

    def look(self, process: Trace) -> None:
        """Every answer given since the last look."""
        for held in process.answered[self.seen[process] :]:
            self._judge(process, held)
        self.seen[process] = len(process.answered)

    def sound(self) -> None:
        """The object opens, keeps the laws, and nothing in it was done twice or lost."""
        whole = json.loads(self.current.data)
        check(decode_state(self.current.data, limits=LIMITS, now=Moment(self.now.wall, 0)))
        lost = self.acked - _known(whole)
        assert not lost, f"acknowledged, and not in the object: {lost}"
        ended = [(job["id"], job["status"]) for job in whole.get("finished", ())]
        ended += [(job_id, how) for job_id, how, *_ in whole.get("recent", ())]
        done = [job_id for job_id, how in ended if how == "completed"]
        assert self.forgot or whole["completedTotal"] == len(done)
        for job in () if self.forgot else whole["jobs"]:
            left = {*job.get("after", ())} - {*done}
            assert {*job.get("waitsFor", ())} == left, f"{job} waits, and {left} are not done"
        wrong = [id_ for id_ in self.not_applied & self.ever if self.submitted[id_] == 1]
        assert not wrong, f"told that nothing was applied, and it was: {wrong}"

    def _judge(self, process: Trace, held: Held) -> None:
        op, outcome = held.op, held.outcome
        self.pausing.judge(held)
        if held.error is not None:
            if isinstance(op, Submit) and held.error.applied == "no":
                self.not_applied.update(job.id for job in op.jobs)
            return
        assert held.position is not None
        assert held.position >= self.positions[process], "answers never go back"
        self.positions[process] = held.position
        if isinstance(op, Submit) and isinstance(outcome, Submitted):
            if not self.forgot:
                self.acked.update(job.id for job in op.jobs)
        elif isinstance(outcome, Claimed):
            for grant in outcome.grants:
                assert grant.lease in self.leases, f"{grant} never stood in the object"
                self.grants[process].append(grant)
        elif isinstance(op, Complete) and outcome == Results((Done(),)):
            ref = op.refs[0]
            assert ref.lease is not None
            by = self.completed.setdefault(ref.id, ref.lease)
            assert self.forgot or by == ref.lease, "completed under two leases"


def _known(whole: Any) -> set[str]:
    stands = {job["id"] for name in ("jobs", "finished") for job in whole.get(name, ())}
    return stands | {job_id for job_id, *_ in whole.get("recent", ())}
