"""Leadership: who takes the place, when, and how it is given back."""

from __future__ import annotations

from tests.simulation.mutants import COMMITTER
from tests.simulation.rules.asks import claim, claimed, complete, submit, submit_caught, submitted
from tests.simulation.rules.rule import Edit, rule
from tests.simulation.rules.stage import Stage

from osqueue.errors import BrokerLeadershipError
from osqueue.testing.simulation.laws.law import expect

__all__: list[str] = []

ELECTION = "osqueue.engine.election:Election"
LEADERSHIP = "osqueue.engine.leadership:Leadership"
PULSE = "osqueue.engine.pulse:Pulse"
JUDGE = "osqueue.testing.simulation.hosts.broker:judge"

ON_WALL = tuple(
    Edit(f"{LEADERSHIP}.{name}", "self._clock.mono_ms()", "self._clock.wall_ms()")
    for name in ("chance", "_ask", "_look", "_load")
)


async def lead_watched(stage: Stage) -> None:
    """One leads, the other stands by."""
    await stage.lead()
    stage.process("broker-2").start()
    await stage.rest(4)


async def leads_soon(stage: Stage, *, within_s: float) -> None:
    await stage.until(lambda: stage.leads("broker-2"), "the other leads", within_s=within_s)


async def nobody_took_over(stage: Stage, *, for_s: float) -> None:
    epoch = stage.epoch
    await stage.rest(for_s)
    expect(stage.epoch == epoch, "nobody took over")


@rule(
    "where the leader's address refuses connections, its place is taken at once",
    Edit(f"{ELECTION}._is_gone", "{ProbeAnswer.REFUSED, ProbeAnswer.OTHER}", "{ProbeAnswer.OTHER}"),
    found="in time the other leads",
    brokers=2,
)
async def refused(stage: Stage) -> None:
    await lead_watched(stage)
    stage.kill("broker-1")
    await leads_soon(stage, within_s=3)


@rule(
    "where another instance answers at the leader's address, its place is taken at once",
    Edit(
        f"{ELECTION}._is_gone", "{ProbeAnswer.REFUSED, ProbeAnswer.OTHER}", "{ProbeAnswer.REFUSED}"
    ),
    found="in time somebody leads",
    brokers=2,
)
async def another_instance(stage: Stage) -> None:
    """It was killed and is there again, as another, before anybody has noticed."""
    await lead_watched(stage)
    epoch = stage.epoch
    stage.kill("broker-1")
    stage.process("broker-1").start()
    stage.process("broker-1").pause()
    await stage.rest(0.2)
    stage.process("broker-1").resume()
    stage.cut("broker-1")  # so it is for the other
    await stage.until(lambda: stage.epoch > epoch, "somebody leads", within_s=4)


@rule(
    "a place that was given back is taken at once",
    Edit(
        "osqueue.model.apply:_resign",
        "state.header.broker = state.header.broker_id = None",
        "pass",
    ),
    found="given back",
    brokers=2,
)
async def given_back(stage: Stage) -> None:
    await lead_watched(stage)
    stage.stop("broker-1")
    await stage.until(lambda: stage.brokers["broker-1"].core is None, "it has ended")
    given = any(each["broker"] is None for each in stage.versions())
    expect(given, "leadership was given back")
    await leads_soon(stage, within_s=3)


@rule(
    "a leader that is silent for a while keeps its place",
    Edit(f"{ELECTION}._wait_still", ">= self._patience_ms(origin)", ">= 0"),
    found="nobody took over",
    brokers=2,
)
async def silent_a_while(stage: Stage) -> None:
    await lead_watched(stage)
    stage.process("broker-1").pause()
    await nobody_took_over(stage, for_s=5)
    stage.process("broker-1").resume()
    await nobody_took_over(stage, for_s=20)


@rule(
    "a leader that is silent while the object stands still loses its place",
    Edit(f"{ELECTION}._wait_still", ">= self._patience_ms(origin)", ">= 10**9"),
    found="in time the other leads",
    brokers=2,
)
async def silent_for_good(stage: Stage) -> None:
    await lead_watched(stage)
    stage.process("broker-1").pause()
    await leads_soon(stage, within_s=18)


@rule(
    "a leader that answers but cannot write loses its place",
    Edit(
        JUDGE, "ProbeAnswer.LEADER if status.writable else ProbeAnswer.SILENT", "ProbeAnswer.LEADER"
    ),
    found="in time the other leads",
    brokers=2,
)
async def cannot_write(stage: Stage) -> None:
    await lead_watched(stage)
    stage.cut("broker-1")
    await leads_soon(stage, within_s=30)


@rule(
    "a leader that writes keeps its place, though it does not answer",
    Edit(f"{ELECTION}.looked", "= version, mono_ms", "= version, self._since or mono_ms"),
    found="nobody took over",
    brokers=2,
)
async def writes_unheard(stage: Stage) -> None:
    await lead_watched(stage)
    stage.cut("broker-1", "broker-2")
    await nobody_took_over(stage, for_s=60)


@rule(
    "who has promised to be silent for longer is waited for longer",
    Edit(f"{ELECTION}._patience_ms", "2 * (origin.heartbeat_every or 0)", "0"),
    found="nobody took over",
    brokers=2,
)
async def promised(stage: Stage) -> None:
    await stage.lead()
    await stage.rest(200)  # nobody watches: its heartbeats become rare
    expect(stage.state["heartbeatEvery"] > 30_000, "it is slow")
    stage.cut("broker-1", "broker-2")
    stage.process("broker-2").start()
    await nobody_took_over(stage, for_s=100)


@rule(
    "a leader that is watched heartbeats at full rate again",
    Edit(f"{PULSE}.watch", "self._watched_until = mono_ms + WATCHED_TIMEOUTS * timeout_ms", "pass"),
    found="heartbeats in 20 s",
    brokers=2,
)
async def watched(stage: Stage) -> None:
    await stage.lead()
    await stage.rest(200)
    stage.process("broker-2").start()
    await stage.rest(2)
    written = len(stage.written)
    await stage.rest(20)
    heartbeats = len(stage.written) - written
    expect(heartbeats >= 5, "%s heartbeats in 20 s", heartbeats)


@rule(
    "a new leader heartbeats at full rate for a while, whoever watches",
    Edit(f"{PULSE}.__init__", "settings.young_timeouts * settings.heartbeat_timeout_ms", "0"),
    found="heartbeats in 60 s",
)
async def young(stage: Stage) -> None:
    await stage.lead()
    written = len(stage.written)
    await stage.rest(60)
    heartbeats = len(stage.written) - written
    expect(heartbeats >= 15, "%s heartbeats in 60 s", heartbeats)


@rule(
    "no clock of the world moves a place",
    *ON_WALL,
    found="nobody took over",
    brokers=2,
)
async def clocks_apart(stage: Stage) -> None:
    """An hour, on either side, while neither hears the other."""
    await lead_watched(stage)
    stage.cut("broker-1", "broker-2")
    for name in ("broker-2", "broker-1", "broker-2"):
        await stage.rest(5)
        stage.process(name).step_clock(3_600_000)
        await nobody_took_over(stage, for_s=5)


@rule(
    "who comes back and finds another in its place stands by",
    Edit(
        f"{COMMITTER}._follow",
        "self._fenced(origin, now)",
        "self._adopt_edit(edited, [] if commit is None else commit.held, now)",
    ),
    found="in time it stands by",
    brokers=2,
)
async def stands_by(stage: Stage) -> None:
    await lead_watched(stage)
    stage.process("broker-1").pause()
    await leads_soon(stage, within_s=18)
    stage.process("broker-1").resume()
    await stage.until(lambda: stage.role("broker-1") == "standby", "it stands by", within_s=5)
    await nobody_took_over(stage, for_s=20)


@rule(
    "who stands by names the leader",
    Edit(
        "osqueue.engine.engine:standby_error",
        "leader=_followed(leader)",
        "leader=None",
    ),
    found="it names",
    brokers=2,
)
async def names_leader(stage: Stage) -> None:
    await lead_watched(stage)
    error = await stage.refusal(submit(stage, "a", at="broker-2"))
    assert isinstance(error, BrokerLeadershipError)
    expect(error.leader == "broker-1:8080", "it names %s", error.leader)
    expect(error.applied == "no", "it was not applied")


@rule(
    "leadership is given back only when nothing is unresolved",
    Edit(
        f"{COMMITTER}._try_again",
        "self._write(self._commit, now)",
        "if self._stopping:\n"
        "            self._intake.refuse_all(self._commit.held, stopping_error())\n"
        "            self._commit.held = []; self._phase = Phase.READY\n"
        "            self._unresolved_since = None; self._commit = None; self.begin(now)\n"
        "        else:\n"
        "            self._write(self._commit, now)",
    ),
    found="told not applied, and was",
)
async def unresolved(stage: Stage) -> None:
    await stage.lead()
    asked, write = await submit_caught(stage, "a")
    stage.stop("broker-1")
    await stage.rest(0.2)
    write.apply()
    write.fail()
    await stage.told(asked)
    await stage.until(lambda: stage.state["broker"] is None, "it is given back")


@rule(
    "who cannot resolve its last commit ends without giving leadership back",
    Edit(
        f"{COMMITTER}.abandon",
        "self._end(reason, why)",
        "self._commit = None; self._phase = Phase.READY; self.begin(now)",
    ),
    found="in time it has ended",
)
async def grace_over(stage: Stage) -> None:
    await stage.lead()
    asked, write = await submit_caught(stage, "a")
    stage.cut("broker-1")
    write.fail()
    stage.stop("broker-1")
    await stage.refusal(asked)
    await stage.until(lambda: stage.brokers["broker-1"].core is None, "it has ended", within_s=20)
    expect(stage.state["broker"] is not None, "it is not given back")


@rule(
    "from when leadership is given back, every request is told not to be applied",
    Edit(f"{COMMITTER}._refusal", "return stopping_error()", "return None"),
    Edit(f"{COMMITTER}._end", "error = self._ended_error()", "error = unknown_error(message)"),
    found="told unknown",
)
async def while_giving_back(stage: Stage) -> None:
    await stage.lead()
    await submitted(stage, "z")
    caught = stage.catch("broker-1", naming='"broker":null')
    stage.stop("broker-1")
    write = await caught
    asked = stage.begin(submit(stage, "a"))
    await stage.rest(0.1)
    write.go()
    error = await stage.refusal(asked)
    expect(error.applied == "no", "told %s", error.applied)


@rule(
    "claims that wait are told at once when the broker stops",
    Edit(
        f"{COMMITTER}.stop",
        "self._intake.refuse_all(self._intake.waiting.drain(), stopping_error())",
        "pass",
    ),
    found="in time a caller is told",
)
async def waiting_told(stage: Stage) -> None:
    await stage.lead()
    claiming = stage.begin(claim(stage, wait_ms=60_000))
    await stage.rest(1)
    caught = stage.catch("broker-1", naming='"broker":null')
    stage.stop("broker-1")
    write = await caught
    await stage.until(claiming.done, "a caller is told", within_s=1)
    error = await stage.refusal(claiming)
    expect(error.applied == "no", "told %s", error.applied)
    write.go()


@rule(
    "leading again needs a new epoch",
    Edit(f"{LEADERSHIP}._place", "origin.epoch + 1", "origin.epoch"),
    found="has one leader",
)
async def new_epoch(stage: Stage) -> None:
    await stage.lead()
    job = await claimed(stage, "a")
    stage.stop("broker-1")
    await stage.until(lambda: stage.brokers["broker-1"].core is None, "it has ended")
    await stage.lead()
    await complete(stage, job)
