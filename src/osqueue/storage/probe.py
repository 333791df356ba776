"""The probe: whether a store can carry a queue, found out by trying.

Many small object stores ignore preconditions and say that all went well; a queue on one of them
loses jobs silently. So every broker looks before it takes a queue. The laws:

- Only definite answers, found twice and on two objects, speak against a store.
- A scratch object has a random key, is removed in any case, and disturbs nobody. Those of probes
  that died are swept later: only long after they were made, since machines' clocks differ.
- It ends: within `PROBE_MS_MAX`, and some time to tidy up, whatever the store does.

Where servers differ in how they want to be asked (`Dialects`), the store is left with what works.

What it cannot show is that the store stays atomic when several write at the same moment.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from itertools import zip_longest
from statistics import median

from osqueue.clock import Clock, Entropy, SystemClock, SystemEntropy
from osqueue.errors import (
    CASConflictError,
    OsqueueError,
    StorageBackendError,
    StoreBusyError,
    StoreDeniedError,
    StoreNotFoundError,
    StoreUnavailableError,
    StoreUnknownError,
    UnsupportedStoreError,
)
from osqueue.storage.asking import PatientStore
from osqueue.storage.findings import CheckResult, ProbeReport, Verdict
from osqueue.storage.protocol import Dialects, Paced, Store, Wrapper, layers
from osqueue.storage.scratch import CHECKS, CREATES, FlawError, Pass, made_at_ms, scratch_key

__all__ = ["examine", "probe_store"]

PROBE_MS_MAX = 15_000
"""A broker that cannot tell by then whether its store is fit says so instead of starting."""

TIDY_MS_MAX = 5_000
"""Longest that the broker's start waits for scratch objects to be removed."""

PASSES_MAX = 10
"""Passes until unclear answers are taken for an answer: with six writes in each, a store that
leaves one in five unclear still comes through nineteen times out of twenty."""

FLAWS_MAX = 2
"""A flaw counts when it was found this often, in each dialect of the store."""

PAUSES_DOUBLED_MAX = 3
"""Pauses between two passes grow up to about a second."""

SWEEP_AFTER_MS = 86_400_000
"""Older scratch objects belong to nobody: clocks differ by minutes, seldom by hours."""

SWEEP_MAX = 20
"""Leftovers removed by one probe, so that a start is not held up by them."""

_INSTEAD = "use S3, Google Cloud Storage, Azure Blob Storage, Ceph or a local directory"


async def probe_store(
    store: Store, *, clock: Clock | None = None, entropy: Entropy | None = None
) -> ProbeReport:
    """Find out whether a store can carry a queue, before one is put there.

    Raises `UnsupportedStoreError` when it cannot, and the store's own errors.
    """
    report = await examine(store, clock=clock, entropy=entropy)
    if report.error is not None:
        raise report.error
    return report


async def examine(
    store: Store,
    *,
    clock: Clock | None = None,
    entropy: Entropy | None = None,
    samples: int = 0,
    note: Callable[[str], None] | None = None,
) -> ProbeReport:
    """The same, but a store's failure is part of the report.

    ``samples``: how many more writes and reads are measured. ``note`` is told what comes next.
    """
    probe = _Probe(
        _unpaced(store), clock=clock or SystemClock(), entropy=entropy or SystemEntropy()
    )
    error = await probe.run(note or _silent)
    if error is None:
        await probe.sweep()
        await probe.sample(samples)
    return probe.report(error)


class _Probe:
    """Passes over one store, until one comes through or the store is found unfit."""

    def __init__(self, store: Store, *, clock: Clock, entropy: Entropy) -> None:
        self._store = store
        self._clock = clock
        self._entropy = entropy
        self._ask = PatientStore(store, clock=clock, entropy=entropy)
        self._speaker = next((each for each in layers(store) if isinstance(each, Dialects)), None)
        self._dialects = deque([""] if self._speaker is None else _own_first(self._speaker))
        """The one that is spoken stands first."""
        self._flaws: Counter[str] = Counter()
        self._pass = self._new_pass()
        """The last one; after a flaw, the one that got furthest with a flaw."""
        self._flaw: tuple[Pass, FlawError] | None = None

    async def run(self, note: Callable[[str], None]) -> OsqueueError | None:
        """What speaks against the store."""
        before = self._dialects[0]
        try:
            async with asyncio.timeout(PROBE_MS_MAX / 1_000):
                await self._passes(note)
        except FlawError:
            assert self._flaw is not None, "it was noted when it was found"
            self._pass, flaw = self._flaw
            error: OsqueueError = _unsupported(self._store.url, flaw)
            error.__cause__ = flaw
        except TimeoutError:
            message = f"no definite answer within {PROBE_MS_MAX // 1_000} s"
            error = self._at_check(StoreUnavailableError(message))
        except StorageBackendError as failure:
            error = self._at_check(failure)
        else:
            return None
        self._speak(before)
        return error

    async def sweep(self) -> None:
        """Remove a few of the scratch objects that probes which died have left behind."""
        oldest = self._clock.wall_ms() - SWEEP_AFTER_MS
        stamps = ((made_at_ms(key), key) for key in self._pass.listed)
        stale = [key for made_at, key in stamps if made_at is not None and made_at < oldest]
        with suppress(StorageBackendError, TimeoutError):
            async with asyncio.timeout(TIDY_MS_MAX / 1_000):
                for key in stale[:SWEEP_MAX]:
                    await self._ask.delete(key)

    async def sample(self, count: int) -> None:
        """Measure some more; a failure of that is no verdict."""
        if count == 0:
            return
        sampling = self._new_pass()
        try:
            with suppress(StorageBackendError, CASConflictError, TimeoutError):
                async with asyncio.timeout(TIDY_MS_MAX / 1_000):
                    await sampling.sample(count)
        finally:
            await _tidy(sampling)

    def report(self, error: OsqueueError | None) -> ProbeReport:
        done = self._pass.done
        ended = [Verdict.OK] * len(done) + [Verdict.FAILED] * (error is not None)
        verdicts = zip_longest(CHECKS, ended[: len(CHECKS)], fillvalue=Verdict.NOT_TRIED)
        return ProbeReport(
            url=self._store.url,
            checks=tuple(CheckResult(name, Verdict(verdict)) for name, verdict in verdicts),
            dialect=self._speaker.dialect if self._speaker is not None and error is None else None,
            put_ms=_median(self._ask.write_ms),
            get_ms=_median(self._ask.read_ms),
            clock_offset_ms=self._pass.clock_offset_ms,
            error=error,
        )

    async def _passes(self, note: Callable[[str], None]) -> None:
        unclear: Exception | None = None
        for number in range(PASSES_MAX):
            try:
                await self._one_pass(note)
            except (FlawError, StorageBackendError) as error:
                if self._is_definite(error):
                    raise
                unclear = error
            else:
                return
            if self._versions_matter():
                self._speak(self._dialects[1 % len(self._dialects)])
            await self._ask.pause(min(number, PAUSES_DOUBLED_MAX))
        message = f"no definite answer on {PASSES_MAX} objects; the last one: {unclear}"
        raise StoreUnknownError(message) from unclear

    async def _one_pass(self, note: Callable[[str], None]) -> None:
        self._pass = current = self._new_pass()
        try:
            await current.run(note)
        except FlawError as flaw:
            if self._flaw is None or len(current.done) >= len(self._flaw[0].done):
                self._flaw = (current, flaw)
            raise
        finally:
            await _tidy(current)

    def _is_definite(self, error: FlawError | StorageBackendError) -> bool:
        """Whether no further pass can end better."""
        if isinstance(error, StoreUnknownError):
            return False
        other_dialects = self._versions_matter() and len(self._dialects) > 1
        if not isinstance(error, FlawError) and not other_dialects:
            return True
        self._flaws[self._dialects[0]] += 1
        concerned = self._dialects if other_dialects else [self._dialects[0]]
        return all(self._flaws[dialect] >= FLAWS_MAX for dialect in concerned)

    def _versions_matter(self) -> bool:
        """Whether the last pass got as far as where a dialect makes a difference."""
        return len(self._pass.done) >= CREATES

    def _speak(self, dialect: str) -> None:
        self._dialects.rotate(-self._dialects.index(dialect))
        if self._speaker is not None:
            self._speaker.dialect = dialect

    def _new_pass(self) -> Pass:
        key = scratch_key(self._clock.wall_ms(), self._entropy.token())
        return Pass(self._ask, key, self._clock)

    def _at_check(self, error: StorageBackendError) -> StorageBackendError:
        """The same kind of error, saying where and at what it came."""
        doing = [*CHECKS.values()][min(len(self._pass.done), len(CHECKS) - 1)]
        kind = next(kind for kind in _KINDS if isinstance(error, kind))
        url, message = self._store.url, error.message
        placed = kind(message if url in message else f"{url} failed at {doing}: {message}")
        placed.__cause__ = error
        return placed


async def _tidy(scratch: Pass) -> None:
    with suppress(StorageBackendError, TimeoutError):
        async with asyncio.timeout(TIDY_MS_MAX / 1_000):
            await scratch.clean_up()


def _unpaced(store: Store) -> Store:
    """Beneath a throttle: one that has its writes wait would hold up every start of a broker."""
    for layer in layers(store):
        if isinstance(layer, Paced) and isinstance(layer, Wrapper):
            store = layer.inner
    return store


def _own_first(speaker: Dialects) -> list[str]:
    others = [dialect for dialect in speaker.dialects if dialect != speaker.dialect]
    return [speaker.dialect, *others]


def _unsupported(url: str, flaw: FlawError) -> UnsupportedStoreError:
    return UnsupportedStoreError(f"{url} cannot carry a queue: it {flaw}; {_INSTEAD}")


def _median(times: list[int]) -> int | None:
    return round(median(times)) if times else None


def _silent(_: str) -> None:
    """For those who need not know what comes next."""


_KINDS = (
    StoreBusyError,
    StoreUnknownError,
    StoreUnavailableError,
    StoreNotFoundError,
    StoreDeniedError,
    StorageBackendError,
)
