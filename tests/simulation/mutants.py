"""Variants of the system that are broken on purpose: the simulation must catch each of them.

Each says which rule it breaks, and how: in the source of a function, one text for another. When the
function changes so that the text is not in it any more, the mutant says so, and is to be written
anew.
"""

from __future__ import annotations
import __future__

import importlib
import inspect
import textwrap
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from typing import Any, Final, NamedTuple

__all__ = ["AGAIN", "APPLY", "COMMITTER", "MUTANTS", "Edit", "Mutant", "broken"]

_FLAGS: Final = __future__.annotations.compiler_flag


class Edit(NamedTuple):
    """In the source of ``where`` (``module:Class.function``), ``new`` for ``old``."""

    where: str
    old: str
    new: str


class Mutant(NamedTuple):
    """A broken variant."""

    name: str
    edits: tuple[Edit, ...]


@contextmanager
def broken(mutant: Mutant) -> Generator[None]:
    """Have the system be that variant."""
    with ExitStack() as stack:
        for edit in mutant.edits:
            stack.enter_context(_edited(edit))
        yield


@contextmanager
def _edited(edit: Edit) -> Generator[None]:
    module_name, _, path = edit.where.partition(":")
    *owners, name = path.split(".")
    owner: Any = importlib.import_module(module_name)
    for each in owners:
        owner = getattr(owner, each)
    function = getattr(owner, name)
    source = textwrap.dedent(inspect.getsource(function))
    assert source.count(edit.old) == 1, f"{edit.where} has not once: {edit.old!r}"
    code = compile(source.replace(edit.old, edit.new), edit.where, "exec", _FLAGS, True)
    made: dict[str, Any] = {}
    exec(code, function.__globals__, made)
    setattr(owner, name, made[name])
    try:
        yield
    finally:
        setattr(owner, name, function)


COMMITTER: Final = "osqueue.engine.committer:Committer"
APPLY: Final = "osqueue.model.apply"

_CALLERS: Final = "osqueue.engine.callers"

AGAIN: Final = (
    "self._intake.pending[:0] = self._commit.held; self._phase = Phase.READY; "
    "self._unresolved_since = None; self._commit = None; self.begin(now)"
)
"""The requests of the commit under way go into a new one."""

_AS_BEFORE: Final = (
    "state['jobs'] = [known[job['id']] if known.get(job['id'], job)['status'] == '{0}' "
    "!= job['status'] else job for job in state['jobs']]"
)
"""Jobs that stood so stand so again."""


def _adopting(change: str) -> Edit:
    """A leader goes on from what a person has written, but for a ``change`` of that ``state``.
    ``known``: the jobs as the leader knew them; ``there``: the ids of those that are there now.
    """
    lines = (
        "state = msgspec.json.decode(edited.data)",
        "known = {job['id']: job for job in msgspec.json.decode(self._last.data)['jobs']}",
        "there = {job['id'] for job in state['jobs']}",
        change,
        "self._intake.rebuild(msgspec.json.encode(state), replay, self._advance(now))",
    )
    adopted = "self._intake.rebuild(edited.data, replay, self._advance(now))"
    return Edit(f"{COMMITTER}._adopt_edit", adopted, "\n        ".join(lines))


MUTANTS: Final = (
    Mutant(
        "a write of unknown fate is followed by other bytes",
        (Edit(f"{COMMITTER}._try_again", "self._write(self._commit, now)", AGAIN),),
    ),
    Mutant(
        "a read that shows the old version proves that the write was not applied",
        (
            Edit(
                f"{COMMITTER}.written",
                "commit.tainted = True\n            self._back_off(commit, why, now)",
                "commit.tainted = True\n            self._read_back(now)",
            ),
            Edit(f"{COMMITTER}.read_back", "self._doubt(commit, now)", AGAIN),
        ),
    ),
    Mutant(
        "a higher epoch does not end a leader's term",
        (
            Edit(
                f"{COMMITTER}._follow",
                "self._fenced(origin, now)",
                "self._adopt_edit(edited, [] if commit is None else commit.held, now)",
            ),
        ),
    ),
    Mutant(
        "a lease is ended by whoever names the job",
        (
            Edit(
                f"{APPLY}:_complete",
                "not _holds(job, worker_id, ref.lease)",
                "job.status is not JobStatus.IN_PROGRESS",
            ),
        ),
    ),
    Mutant(
        "a change is answered before it is durable",
        (
            Edit(
                f"{COMMITTER}._settle",
                "if held.writes or not (held.answered or self._fresh(held, now)):",
                "if not (held.answered or self._fresh(held, now)):",
            ),
        ),
    ),
    Mutant(
        "after a takeover leases have no time of their own",
        (
            Edit(
                "osqueue.model.snapshot:_read_jobs",
                "now.serving + state.limits.lease_timeout_ms",
                "now.serving + 1",
            ),
        ),
    ),
    Mutant(
        "a lease is a job and an attempt, and attempts are given back",
        (
            Edit(
                f"{APPLY}:_claim",
                'f"{op.lease_seed}-{len(grants)}"',
                'f"{job.id}-{job.attempts}"',
            ),
        ),
    ),
    Mutant(
        "payload objects are not kept apart by epoch",
        (
            Edit("osqueue.engine.payloads:PayloadObjects.write", "{epoch}", "1"),
            Edit(f"{APPLY}:_outdated", "state.header.epoch", "1"),
        ),
    ),
    Mutant(
        "a batch for the archive is put together anew each time",
        (Edit(f"{APPLY}:_seal", "if outbox is None:\n        outbox", "if True:\n        outbox"),),
    ),
    Mutant(
        "ended jobs are dropped before they stand in the archive",
        (
            Edit(
                "osqueue.engine.archiver:Archiver.archive_one",
                "if sealed.jobs > 0:",
                "await self._leader.ask(Drop(sealed.key))\n    if sealed.jobs > 0:",
            ),
        ),
    ),
    Mutant(
        "the place is taken whatever stands there by then",
        (
            Edit(
                "osqueue.engine.term:write_object",
                "if_version=action.if_version",
                "if_version=await store.head(key)",
            ),
        ),
    ),
    Mutant(
        "leadership is given back over an unresolved commit",
        (
            Edit(
                f"{COMMITTER}._try_again",
                "self._write(self._commit, now)",
                "if self._stopping:\n"
                "            self._intake.refuse_all(self._commit.held, stopping_error())\n"
                f"            self._commit.held = []; {AGAIN}\n"
                "        else:\n"
                "            self._write(self._commit, now)",
            ),
        ),
    ),
    Mutant(
        "ended jobs are not remembered",
        (
            Edit(
                f"{APPLY}:_submit",
                "state.knows_any(fresh.keys())",
                "not state.jobs.keys().isdisjoint(fresh.keys())",
            ),
        ),
    ),
    Mutant(
        "an expired lease costs no attempt",
        (Edit(f"{APPLY}:_expire", "if job.attempts < job.attempts_allowed:", "if True:"),),
    ),
    Mutant(
        "the last that came is handed out first",
        (
            Edit(
                "osqueue.model.index:ReadyIndex.pop",
                "heappop(queue.heap)",
                "queue.heap.pop()",
            ),
        ),
    ),
    Mutant(
        "a time of a schedule goes by without its job",
        (
            Edit(
                "osqueue.model.recurring:_fire",
                "refusal = _submit(state, schedule, op.job_id, now)",
                "refusal = None",
            ),
        ),
    ),
    Mutant("a paused queue hands jobs out", (Edit(f"{APPLY}:_claim", "state.paused", "False"),)),
    Mutant(
        "a new leader does not note on whose commit it stands",
        (
            Edit(
                "osqueue.model.state:Header.succeed",
                "if self.epoch is not None and self.commit is not None:",
                "if False:",
            ),
        ),
    ),
    Mutant(
        "a stale lease is told that its job is completed",
        (Edit(f"{APPLY}:_repeated", "return _lost(state, ref)", "return _DONE"),),
    ),
    Mutant(
        "a stale lease is told that it is kept",
        (
            Edit(
                f"{APPLY}:_heartbeat", "results.append(_lost(state, ref))", "results.append(_DONE)"
            ),
        ),
    ),
    Mutant(
        "what a worker does not name is taken back at once",
        (Edit(f"{APPLY}:_release_orphans", " - state.limits.orphan_after_ms", ""),),
    ),
    Mutant(
        "a claim that is repeated brings other jobs",
        (Edit(f"{APPLY}:_claim", "if held:", "if False:"),),
    ),
    Mutant(
        "what a person edited is written over",
        (
            Edit(
                f"{COMMITTER}._adopt_edit",
                "self._intake.rebuild(edited.data, replay, self._advance(now))",
                "self._intake.rebuild(self._last.data, replay, self._advance(now))",
            ),
        ),
    ),
    Mutant(
        "a job that a person removed comes back",
        (_adopting("state['jobs'] += [known[each] for each in known if each not in there]"),),
    ),
    Mutant(
        "a job that a person added is dropped",
        (_adopting("state['jobs'] = [job for job in state['jobs'] if job['id'] in known]"),),
    ),
    Mutant(
        "a dead letter that a person revived is dead still",
        (_adopting(_AS_BEFORE.format("dead")),),
    ),
    Mutant(
        "a lease that a person took away is good still",
        (_adopting(_AS_BEFORE.format("in_progress")),),
    ),
    Mutant(
        "what landed and was then edited by hand is applied once more",
        (
            Edit(
                f"{COMMITTER}._follow",
                "self._adopt_edit(edited, [], now)",
                "self._adopt_edit(edited, commit.held, now)",
            ),
        ),
    ),
    Mutant(
        "a cancel is answered and forgotten",
        (Edit(f"{APPLY}:_cancel", "state.cancel(job, now)", "pass"),),
    ),
    Mutant(
        "who shares a queue writes where a broker leads",
        (Edit("osqueue.engine.tenure:Sharing.goes_on", " and origin.broker is None", ""),),
    ),
    Mutant(
        "who shares a queue takes it from a broker without an epoch of its own",
        (
            Edit(
                "osqueue.engine.sharing:_tenure",
                "epoch=place.epoch, takes=True",
                "epoch=(origin and origin.epoch) or place.epoch, takes=True",
            ),
        ),
    ),
    Mutant(
        "a heartbeat that another process has written counts for nothing",
        (Edit("osqueue.model.watch:Watch.lease", "sight.heartbeat == job.heartbeat", "True"),),
    ),
    Mutant(
        "heartbeats are not written where others have to see them",
        (Edit("osqueue.model.state:QueueState.renew", "least_ms is not None", "False"),),
    ),
    Mutant(
        "who shares a queue does not note on whose commit it stands",
        (Edit("osqueue.model.state:Header.share", " or before.writer != writer", ""),),
    ),
    Mutant(
        "a commit that another one was before is told done",
        (
            Edit(
                f"{COMMITTER}._lost_race",
                "self._identity.fate(origin, commit.id, self._base)",
                "Fate.LANDED",
            ),
        ),
    ),
    Mutant(
        "a commit that has landed is told not applied where another one follows it",
        (
            Edit(
                f"{COMMITTER}._lost_race",
                "if fate is Fate.LANDED:",
                "if True:\n"
                "        self._intake.refuse_all(writes, stopping_error())\n"
                "    elif fate is Fate.LANDED:",
            ),
        ),
    ),
    Mutant(
        "who shares a queue ends without a word of the broker that it met",
        (
            Edit(
                f"{COMMITTER}._fenced",
                "leader = None if origin is None else origin.broker",
                "leader = None",
            ),
        ),
    ),
    Mutant(
        "a leader's pause counts as its workers' silence",
        (
            Edit(
                "osqueue.engine.serving:ServingClock.read",
                "mono_ms - due > self._pause_ms_max",
                "False",
            ),
        ),
    ),
    Mutant(
        "a claim whose caller has gone keeps its place",
        (Edit(f"{_CALLERS}:Claims._leave", "family.under_way.remove(held)", "return"),),
    ),
    Mutant(
        "a claim waits longer than it asked for",
        (
            Edit(
                f"{COMMITTER}.wait_over",
                "if self._intake.waiting.remove(held):",
                "if held.waits:",
            ),
        ),
    ),
    Mutant(
        "claims that wait are not told that their broker stops",
        (
            Edit(
                f"{COMMITTER}.stop",
                "self._intake.refuse_all(self._intake.waiting.drain(), stopping_error())",
                "self._intake.waiting.drain()",
            ),
        ),
    ),
    Mutant(
        "the payload object of a job that has ended stays for ever",
        (Edit("osqueue.engine.desk:TermDesk.discard", "if keys and not", "if False and not"),),
    ),
    Mutant(
        "payload objects of lower epochs stay for ever",
        (Edit("osqueue.engine.sweeper:_is_below", "int(written) < epoch", "False"),),
    ),
    Mutant(
        "a job is freed by the first that it waits for",
        (
            Edit(
                "osqueue.model.waits:WaitIndex.completed",
                "del waits_for[parent_id]",
                "del waits_for[parent_id]; self._children.discard(child, waits_for); "
                "waits_for.clear()",
            ),
        ),
    ),
    Mutant(
        "what waits for a cancelled job waits for ever",
        (
            Edit(
                "osqueue.model.state:QueueState.cancel",
                "if self.waits.live:",
                "if False:",
            ),
        ),
    ),
    Mutant(
        "a new leader does not know what waits for what",
        (
            Edit(
                "osqueue.model.codec:_live_notes",
                "notes is not None and wire.waits_for and",
                "False and notes is not None and",
            ),
        ),
    ),
    Mutant(
        "an id is answered whatever is submitted under it",
        (Edit(f"{APPLY}:_is_same", "return same_job(job, new)", "return True"),),
    ),
    Mutant(
        "a follower is told what is not durable",
        (
            Edit(
                f"{COMMITTER}.begin",
                "self._write(self._commit, now)",
                "self._write(self._commit, now)\n"
                "    if self._commit.told is not None:\n"
                "        at = (self.position[0], self._number)\n"
                "        self._actions.append(Publish(at, self._commit.told))\n"
                "        self._commit.told = None",
            ),
        ),
    ),
    Mutant(
        "a follower is not told of jobs that end with another",
        (
            Edit(
                "osqueue.model.state:QueueState._cancel_descendants",
                "if self.events is not None:",
                "if False:",
            ),
        ),
    ),
    Mutant(
        "who waits for a job's end is not woken by it",
        (
            Edit(
                "osqueue.model.state:QueueState._end",
                "if job.id in self.awaited:",
                "if False:",
            ),
        ),
    ),
    Mutant(
        "what a job brought is not kept",
        (
            Edit(
                f"{APPLY}:_complete",
                "state.complete(job, now, result=result)",
                "state.complete(job, now, result=UNSET)",
            ),
        ),
    ),
    Mutant(
        "what ended a lease is refused when it is said again",
        (
            Edit(
                f"{APPLY}:_repeated",
                "if ref.lease is not None and",
                "if False and",
            ),
        ),
    ),
    Mutant(
        "a worker that stops keeps what it does not finish",
        (
            Edit(
                "osqueue.worker.running:RunningWorker.shut_down",
                "self._release(await self._withdraw())",
                "await self._withdraw()",
            ),
        ),
    ),
    Mutant(
        "a list shows jobs of other types",
        (
            Edit(
                "osqueue.model.search:Wanted.among",
                "jobs = [job for job in jobs if job.type == type_]",
                "pass",
            ),
        ),
    ),
    Mutant(
        "what a lost commit held is told not applied",
        (
            Edit(
                f"{COMMITTER}._end",
                "intake.refuse_all(writes, unknown_error(message))",
                "intake.refuse_all(writes, stopping_error())",
            ),
        ),
    ),
    Mutant(
        "the line of commits is not asked what became of the last one",
        (
            Edit(
                f"{COMMITTER}._tell_fate",
                "fate = self._identity.fate(origin, commit.id, self._base)",
                "fate = Fate.NOT_APPLIED",
            ),
        ),
    ),
    Mutant(
        "whoever led a while ago answers as if he led still",
        (
            Edit(
                f"{COMMITTER}._fresh",
                "if held.consistent and self._confirmed_arrivals < held.order:",
                "if True:\n        return True\n    if False:",
            ),
        ),
    ),
    Mutant(
        "what is kept beside an overwritten object is not what was durable",
        (
            Edit(
                f"{COMMITTER}._keep",
                'Save(f"{BEFORE}{last.commit}", last.data)',
                'Save(f"{BEFORE}{last.commit}", '
                "last.data if self._commit is None else self._commit.data)",
            ),
        ),
    ),
    Mutant(
        "brokers go on from what an older implementation wrote, though a copy is kept",
        (
            Edit(
                "osqueue.engine.leadership:Leadership._refuse_overwritten",
                "if self._election.adopts:",
                "if True:",
            ),
        ),
    ),
    Mutant(
        "a lost object is created again under the epoch that it had",
        (
            Edit(
                f"{COMMITTER}._create_again",
                "epoch = max(now.wall // 1_000, self._identity.epoch + 1)",
                "epoch = self._identity.epoch",
            ),
        ),
    ),
    Mutant(
        "a broker that finds no object begins a new queue over what is left of one",
        (
            Edit(
                "osqueue.engine.leadership:Leadership._new_place",
                "for prefix in OTHER_KEYS:",
                "for prefix in ():",
            ),
        ),
    ),
    Mutant(
        "a stream of jobs does not count those that it has sent",
        (
            Edit(
                "osqueue.broker.job_streams:JobStream._next",
                "self._sent += len(reply.value.jobs)",
                "pass",
            ),
        ),
    ),
    Mutant(
        "credit of a stream that is asked for twice is added twice",
        (
            Edit(
                "osqueue.broker.job_streams:JobStream.add",
                "self._total = max(self._total, total)",
                "self._total = max(self._total + int(total == self._total), total)",
            ),
        ),
    ),
    Mutant(
        "a stream that is left keeps the jobs that were not taken",
        (
            Edit(
                "osqueue.client.streams:_Arrivals.close",
                "while self._here:",
                "while False:",
            ),
        ),
    ),
)
