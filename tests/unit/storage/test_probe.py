"""The probe against stores that misbehave, each in one way, and against stores in trouble."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from osqueue.clock import SystemClock, SystemEntropy
from osqueue.errors import (
    CASConflictError,
    StorageBackendError,
    StoreBusyError,
    StoreDeniedError,
    StoreNotFoundError,
    StoreUnavailableError,
    StoreUnknownError,
    UnsupportedStoreError,
)
from osqueue.storage import LocalBackend, MemoryBackend, Store, Stored, Version, probe_store
from osqueue.storage import probe as probe_module
from osqueue.storage.asking import TRIES_MAX
from osqueue.storage.findings import ProbeReport, Verdict
from osqueue.storage.probe import (
    PASSES_MAX,
    SWEEP_AFTER_MS,
    SWEEP_MAX,
    examine,
)
from osqueue.storage.scratch import CHECKS, SCRATCH_PREFIX, made_at_ms, scratch_key
from osqueue.testing import Fault, ScriptedStore, Step

CREATE, TWICE, REPLACE, STALE, CHANGED, NOTHING, LIST, DELETE = CHECKS
NOW_MS = 1_800_000_000_000


class Hasty(SystemEntropy):
    """Its pauses have no length."""

    def jitter(self) -> float:
        return -1.0


class FixedWall(SystemClock):
    def wall_ms(self) -> int:
        return NOW_MS


async def examined(store: Store, *, samples: int = 0) -> ProbeReport:
    return await examine(store, clock=FixedWall(), entropy=Hasty(), samples=samples)


async def keys_of(store: Store) -> list[str]:
    return [key async for key in store.list()]


def failed_check(report: ProbeReport) -> str:
    """The one check that failed; those before it went well, those after were not tried."""
    verdicts = [check.verdict for check in report.checks]
    at = verdicts.index(Verdict.FAILED)
    assert verdicts[:at] == [Verdict.OK] * at
    assert set(verdicts[at + 1 :]) <= {Verdict.NOT_TRIED}
    return report.checks[at].name


# Stores that are fit


async def test_memory_when_probed_then_fit_and_nothing_is_left() -> None:
    store = MemoryBackend()
    report = await examined(store, samples=3)
    assert report.fit
    assert [check.name for check in report.checks] == list(CHECKS)
    assert {check.verdict for check in report.checks} == {Verdict.OK}
    assert (report.url, report.dialect, report.clock) == ("memory://", None, None)
    assert report.put_ms is not None
    assert report.get_ms is not None
    assert await keys_of(store) == []


async def test_directory_when_probed_then_fit_and_no_object_is_left(tmp_path: Path) -> None:
    store = LocalBackend(tmp_path / "q")
    assert (await probe_store(store)).fit
    assert await keys_of(store) == []
    assert [path.name for path in tmp_path.rglob("*")] == ["q", "probe"]
    await store.close()


async def test_probes_when_several_run_at_once_then_none_disturbs_another() -> None:
    store = MemoryBackend()
    await store.create("queue.json", b"{}")
    reports = await asyncio.gather(*(probe_store(store) for _ in range(20)))
    assert all(report.fit for report in reports)
    assert await keys_of(store) == ["queue.json"]


async def test_probe_when_it_goes_on_then_each_check_is_told_before_it() -> None:
    told: list[str] = []
    await examine(MemoryBackend(), note=told.append)
    assert told == list(CHECKS)


# Stores that are not


class Careless(MemoryBackend):
    """Ignores ``If-None-Match`` on create."""

    async def create(self, key: str, data: bytes) -> Version:
        return self._write(key, data)


class Overwriting(MemoryBackend):
    """Reports a conflict, and has overwritten."""

    async def create(self, key: str, data: bytes) -> Version:
        taken = key in self._objects
        version = self._write(key, data)
        if taken:
            raise CASConflictError("it exists")
        return version


class Stale(MemoryBackend):
    """Ignores ``If-Match``, but for objects that are not there."""

    async def put(self, key: str, data: bytes, *, if_version: Version) -> Version:
        del if_version
        self._existing(key)
        return self._write(key, data)


class StaleOverwriting(MemoryBackend):
    """Reports a stale version, and has overwritten."""

    async def put(self, key: str, data: bytes, *, if_version: Version) -> Version:
        stale = self._existing(key).version != if_version
        version = self._write(key, data)
        if stale:
            raise CASConflictError("stale")
        return version


class Refusing(MemoryBackend):
    """Lets nothing be replaced."""

    async def put(self, *_: Any, **__: Any) -> Version:
        raise CASConflictError("never")


class Making(MemoryBackend):
    """A put creates what is not there."""

    async def put(self, key: str, data: bytes, *, if_version: Version) -> Version:
        if key not in self._objects:
            return self._write(key, data)
        return await super().put(key, data, if_version=if_version)


class MakingSilently(MemoryBackend):
    """A put of what is not there reports a conflict, and creates it."""

    async def put(self, key: str, data: bytes, *, if_version: Version) -> Version:
        if key not in self._objects:
            self._write(key, data)
            raise CASConflictError("no such version")
        return await super().put(key, data, if_version=if_version)


class Unchanging(MemoryBackend):
    """A version that outlives a change."""

    def _write(self, key: str, data: bytes) -> Version:
        self._objects[key] = Stored(data, Version("1"))
        return Version("1")


class TwoVersions(MemoryBackend):
    """Answers a create with another version than a read."""

    async def create(self, key: str, data: bytes) -> Version:
        return Version(f"W/{await super().create(key, data)}")


class Unconditional(MemoryBackend):
    """Hands everything out, whether it has changed or not."""

    async def get(self, key: str, *, unless: Version | None = None) -> Stored | None:
        del unless
        return self._existing(key)


class Sluggish(MemoryBackend):
    """Takes any version for the current one when it is asked for a change."""

    async def get(self, key: str, *, unless: Version | None = None) -> Stored | None:
        return None if unless is not None else self._existing(key)


class Hiding(MemoryBackend):
    """Lists nothing."""

    async def list(self, *_: Any, **__: Any) -> AsyncIterator[str]:
        for key in self._objects.keys() - self._objects.keys():
            yield key


class Keeping(MemoryBackend):
    """Deletes nothing."""

    async def delete(self, key: str) -> None:
        pass


class Full(MemoryBackend):
    """Says that everything exists, and has nothing."""

    async def create(self, *_: Any, **__: Any) -> Version:
        raise CASConflictError("it exists")


class Losing(MemoryBackend):
    """Takes a new object and forgets it."""

    async def create(self, *_: Any, **__: Any) -> Version:
        return Version("1")


@pytest.mark.parametrize(
    ("store", "check", "words"),
    [
        (Careless(), TWICE, "let a second create overwrite an object: its preconditions are ign"),
        (Overwriting(), TWICE, "reported a conflict and overwrote the object all the same"),
        (Stale(), STALE, "let a write at a stale version overwrite an object: its preconditions"),
        (StaleOverwriting(), STALE, "reported a conflict and overwrote the object all the same"),
        (Refusing(), REPLACE, "refuses to replace an object at the version that it has"),
        (Making(), NOTHING, "let an object be replaced that is not there: its preconditions are"),
        (MakingSilently(), NOTHING, "reported a conflict and created the object all the same"),
        (Unchanging(), REPLACE, "gives a changed object the version that it had before"),
        (TwoVersions(), CREATE, "gives an object another version when it is read than when it was"),
        (Unconditional(), CHANGED, "hands out an object that has not changed as if it had"),
        (Sluggish(), CHANGED, "says of an object that has changed that it has not"),
        (Hiding(), LIST, "leaves an object out of its listing"),
        (Keeping(), DELETE, "still has an object that was deleted"),
        (Full(), CREATE, "refuses to create a new object"),
        (Losing(), CREATE, "lost a new object"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, MemoryBackend) else "",
)
async def test_store_when_it_misbehaves_then_it_is_refused_with_what_it_did_and_what_to_do(
    store: MemoryBackend, check: str, words: str
) -> None:
    report = await examined(store)
    assert isinstance(report.error, UnsupportedStoreError)
    assert report.error.message.startswith(f"memory:// cannot carry a queue: it {words}")
    assert report.error.message.endswith("; use S3, Google Cloud Storage, Azure Blob Storage, "
                                         "Ceph or a local directory")  # fmt: skip
    assert failed_check(report) == check
    assert not report.fit
    with pytest.raises(UnsupportedStoreError):
        await probe_store(store, entropy=Hasty())
    if not isinstance(store, Keeping):
        assert store._objects == {}, "what was made was removed"


# Stores in trouble


@pytest.mark.parametrize(
    ("call", "check"), [("create", CREATE), ("put", REPLACE), ("get", CREATE), ("delete", DELETE)]
)
async def test_permission_when_one_is_missing_then_denied_and_which(call: str, check: str) -> None:
    class Denying(MemoryBackend):
        pass

    async def deny(*_: object, **__: object) -> None:
        raise StoreDeniedError("403 not allowed")

    setattr(Denying, call, deny)
    report = await examined(Denying())
    assert type(report.error) is StoreDeniedError
    assert report.error.message.startswith(f"memory:// failed at {CHECKS[check]}: 403 not allowed")
    assert failed_check(report) == check


async def test_bucket_when_there_is_none_then_said() -> None:
    class Nowhere(MemoryBackend):
        async def create(self, *_: Any, **__: Any) -> Version:
            raise StoreNotFoundError("404 NoSuchBucket")

    report = await examined(Nowhere())
    assert type(report.error) is StoreNotFoundError
    assert "there is no such bucket, container or directory (404 NoSuchBucket)" in str(report.error)


async def test_permission_when_listing_is_denied_and_missing_keys_with_it_then_a_hint() -> None:
    class NoList(MemoryBackend):
        async def get(self, key: str, *, unless: Version | None = None) -> Stored | None:
            if key not in self._objects:
                raise StoreDeniedError("403")
            return await super().get(key, unless=unless)

    report = await examined(NoList())
    assert isinstance(report.error, StoreDeniedError)
    assert "s3:ListBucket" in report.error.message


@pytest.mark.parametrize("kind", [StoreUnavailableError, StoreBusyError, StorageBackendError])
async def test_failure_when_it_lasts_then_its_class_and_message_after_some_tries(
    kind: type[StorageBackendError],
) -> None:
    calls = 0

    class Down(MemoryBackend):
        async def create(self, *_: Any, **__: Any) -> Version:
            nonlocal calls
            calls += 1
            raise kind("connection refused")

    report = await examined(Down())
    assert type(report.error) is kind
    assert report.error.message == "memory:// failed at creating an object: connection refused"
    assert calls == (1 if kind is StorageBackendError else TRIES_MAX)


async def test_failure_when_the_store_names_itself_then_its_message_stands_alone() -> None:
    class Down(MemoryBackend):
        async def create(self, *_: Any, **__: Any) -> Version:
            raise StoreUnavailableError("cannot create 'x' in memory://: it is gone")

    report = await examined(Down())
    assert str(report.error) == "cannot create 'x' in memory://: it is gone"


@pytest.mark.parametrize(
    "kind", [StoreUnavailableError, StoreBusyError, StoreDeniedError, StoreNotFoundError]
)
async def test_failure_when_nothing_can_have_been_created_then_nothing_is_removed(
    kind: type[StorageBackendError],
) -> None:
    class Down(MemoryBackend):
        removed = 0

        async def create(self, *_: Any, **__: Any) -> Version:
            raise kind("no")

        async def delete(self, *_: Any, **__: Any) -> None:
            self.removed += 1

    store = Down()
    assert not (await examined(store)).fit
    assert store.removed == 0


@pytest.mark.parametrize("fault", [Fault.BUSY, Fault.UNAVAILABLE])
@pytest.mark.parametrize("call", ["create", "put", "get", "delete"])
async def test_failure_when_it_passes_then_fit(call: str, fault: Fault) -> None:
    inner = MemoryBackend()
    script = [Step(call, fault)] * (TRIES_MAX - 1)  # type: ignore[arg-type]
    store = ScriptedStore(inner, script)
    assert (await examined(store)).fit
    assert store.unused == ()
    assert await keys_of(inner) == []


WRITES: list[tuple[str, int]] = [
    ("create", 1),
    ("create", 2),
    ("put", 1),
    ("put", 2),
    ("put", 3),
    ("delete", 1),
]


@pytest.mark.parametrize("fault", [Fault.LOST_REPLY, Fault.LOST_REQUEST])
@pytest.mark.parametrize(("call", "number"), WRITES)
async def test_write_when_its_fate_is_unknown_then_it_is_not_held_against_the_store(
    call: str, number: int, fault: Fault
) -> None:
    inner = MemoryBackend()
    steps = [*[Step(call)] * (number - 1), Step(call, fault)]  # type: ignore[arg-type]
    store = ScriptedStore(inner, steps)
    report = await examined(store)
    assert report.fit
    assert store.unused == ()
    assert await keys_of(inner) == []


@pytest.mark.parametrize("after", [1, 2, 3, 5, 8])
@pytest.mark.parametrize(("call", "number"), WRITES)
async def test_write_when_it_lands_late_then_it_is_not_held_against_the_store(
    call: str, number: int, after: int
) -> None:
    inner = MemoryBackend()
    late = Step(call, Fault.LATE_WRITE, after=after)  # type: ignore[arg-type]
    store = ScriptedStore(inner, [*[Step(call)] * (number - 1), late])  # type: ignore[arg-type]
    assert (await examined(store)).fit
    await store.land()
    left = await keys_of(inner)
    assert len(left) <= (call == "create"), "only what was created late, for a later sweep"
    assert all(made_at_ms(key) == NOW_MS for key in left)


@pytest.mark.parametrize("call", ["create", "put"])
async def test_write_when_it_was_sent_twice_on_the_way_then_the_object_decides(call: str) -> None:
    inner = MemoryBackend()
    store = ScriptedStore(inner, [Step(call, Fault.FALSE_CONFLICT)])  # type: ignore[arg-type]
    assert (await examined(store)).fit
    assert len([each for each in store.log if each.call == "create"]) == 2, "one pass was enough"


async def test_object_when_somebody_removes_it_meanwhile_then_it_is_looked_at_again() -> None:
    store = ScriptedStore(MemoryBackend(), [Step("get"), Step("get", Fault.NOT_FOUND)])
    assert (await examined(store)).fit
    assert store.unused == ()


async def test_writes_when_all_end_in_doubt_then_a_definite_end() -> None:
    class Doubtful(MemoryBackend):
        tries = 0

        async def create(self, key: str, data: bytes) -> Version:
            self.tries += 1
            await super().create(key, data)
            raise StoreUnknownError("502 bad gateway")

    store = Doubtful()
    report = await examined(store)
    assert type(report.error) is StoreUnknownError
    assert "502 bad gateway" in report.error.message
    assert store.tries == PASSES_MAX
    assert await keys_of(store) == []


async def test_flaw_when_it_shows_once_among_unclear_answers_then_it_does_not_count() -> None:
    class Doubtful(MemoryBackend):
        tries = 0

        async def create(self, *_: Any, **__: Any) -> Version:
            self.tries += 1
            if self.tries == PASSES_MAX:
                raise CASConflictError("it exists")
            raise StoreUnknownError("502 bad gateway")

    assert type((await examined(Doubtful())).error) is StoreUnknownError


async def test_store_when_it_hangs_then_unavailable_in_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(probe_module, "PROBE_MS_MAX", 20)
    monkeypatch.setattr(probe_module, "TIDY_MS_MAX", 20)
    store = ScriptedStore(MemoryBackend(), [Step("put", hold="request")])
    report = await examined(store)
    assert type(report.error) is StoreUnavailableError
    assert "failed at replacing it: no definite answer within" in report.error.message
    assert await keys_of(store) == []


async def test_probe_when_it_is_cancelled_then_the_scratch_object_is_removed() -> None:
    store = ScriptedStore(MemoryBackend(), [Step("put", hold="request")])
    probing = asyncio.create_task(probe_store(store))
    await store.held()
    assert len(await keys_of(store)) == 1
    probing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await probing
    assert await keys_of(store) == []


async def test_samples_when_they_fail_then_fit_all_the_same() -> None:
    inner = MemoryBackend()
    passes = [Step("create"), Step("create"), Step("create"), Step("put", Fault.LOST_REPLY)]
    report = await examined(ScriptedStore(inner, passes), samples=3)
    assert report.fit
    assert await keys_of(inner) == []


# Dialects


class Picky(MemoryBackend):
    """Understands versions in one dialect; in others they never match, or the request is bad."""

    def __init__(self, right: str, *, bad_request: type[Exception] = CASConflictError) -> None:
        super().__init__()
        self.dialects: tuple[str, ...] = ("quoted", "plain", "weak")
        self.dialect = "quoted"
        self._right = right
        self._bad_request = bad_request

    async def put(self, key: str, data: bytes, *, if_version: Version) -> Version:
        self._existing(key)
        if self.dialect != self._right:
            raise self._bad_request("400 what is this")
        return await super().put(key, data, if_version=if_version)


@pytest.mark.parametrize("right", ["quoted", "plain", "weak"])
@pytest.mark.parametrize(
    "bad_request", [CASConflictError, StorageBackendError, StoreUnknownError, StoreDeniedError]
)
async def test_dialects_when_one_works_then_the_store_is_left_with_it(
    right: str, bad_request: type[Exception]
) -> None:
    store = Picky(right, bad_request=bad_request)
    report = await examined(ScriptedStore(store))
    assert report.fit
    assert report.dialect == store.dialect == right
    assert await keys_of(store) == []


async def test_dialects_when_none_works_then_unsupported_and_as_it_was() -> None:
    store = Picky("none of these")
    store.dialect = "plain"
    report = await examined(store)
    assert isinstance(report.error, UnsupportedStoreError)
    assert "refuses to replace" in report.error.message
    assert report.dialect is None
    assert store.dialect == "plain"


async def test_dialects_when_one_makes_versions_be_ignored_then_another_is_taken() -> None:
    class Lax(Picky):
        async def put(self, key: str, data: bytes, *, if_version: Version) -> Version:
            if self.dialect == "quoted":
                self._existing(key)
                return self._write(key, data)
            return await super().put(key, data, if_version=if_version)

    report = await examined(store := Lax("weak"))
    assert report.fit
    assert store.dialect == "weak"


@pytest.mark.parametrize("lax", ["quoted", "plain"])
async def test_dialects_when_each_fails_in_its_way_then_the_one_that_got_furthest_is_told(
    lax: str,
) -> None:
    class Lax(Picky):
        async def put(self, key: str, data: bytes, *, if_version: Version) -> Version:
            if self.dialect == lax:
                self._existing(key)
                return self._write(key, data)
            return await super().put(key, data, if_version=if_version)

    report = await examined(Lax("none of these"))
    assert "let a write at a stale version overwrite" in str(report.error)
    assert failed_check(report) == STALE


async def test_failure_when_it_comes_after_unclear_answers_then_where_it_came_is_told() -> None:
    script = [Step("delete", Fault.LOST_REPLY), Step("create", Fault.DENIED)]
    report = await examined(ScriptedStore(MemoryBackend(), script))
    assert type(report.error) is StoreDeniedError
    assert failed_check(report) == CREATE


# The clock


class Timed(MemoryBackend):
    def __init__(self, ahead_ms: int | None) -> None:
        super().__init__()
        self._ahead_ms = ahead_ms

    async def last_modified_ms(self, key: str) -> int | None:
        self._existing(key)
        if self._ahead_ms is None:
            raise StoreUnavailableError("later")
        return (NOW_MS + self._ahead_ms) // 1_000 * 1_000


@pytest.mark.parametrize(
    ("ahead_ms", "words"),
    [
        (0, "about as ours"),
        (900, "about as ours"),
        (61_000, "about 62 s ahead of ours"),
        (-7_200_000, "about 7200 s behind ours"),
        (None, None),
    ],
)
async def test_clock_when_the_store_tells_its_time_then_about_the_difference(
    ahead_ms: int | None, words: str | None
) -> None:
    report = await examined(Timed(ahead_ms))
    assert report.fit
    assert report.clock == words


# Leftovers


@pytest.fixture
def old_ms() -> int:
    return NOW_MS - SWEEP_AFTER_MS - 1


async def test_leftovers_when_old_then_swept_a_few_at_a_time(old_ms: int) -> None:
    store = MemoryBackend()
    for number in range(SWEEP_MAX + 1):
        await store.create(scratch_key(old_ms + number - SWEEP_MAX, f"t{number}"), b"")
    await examined(store)
    assert await keys_of(store) == [scratch_key(old_ms, f"t{SWEEP_MAX}")]
    await examined(store)
    assert await keys_of(store) == []


@pytest.mark.parametrize(
    "key",
    [
        scratch_key(NOW_MS, "other"),
        scratch_key(NOW_MS - SWEEP_AFTER_MS, "other"),
        scratch_key(NOW_MS + 10 * SWEEP_AFTER_MS, "other"),
        "probe/notes.txt",
        "probe/1-",
        "probes/1-a",
        "queue.json",
    ],
)
async def test_objects_when_young_or_somebody_elses_then_they_stay(key: str) -> None:
    store = MemoryBackend()
    await store.create(key, b"")
    await examined(store)
    assert await keys_of(store) == [key]


async def test_leftovers_when_they_cannot_be_removed_then_fit_all_the_same(old_ms: int) -> None:
    class Sticky(MemoryBackend):
        async def delete(self, key: str) -> None:
            if key == leftover:
                raise StoreDeniedError("locked")
            await super().delete(key)

    store, leftover = Sticky(), scratch_key(old_ms, "a")
    await store.create(leftover, b"")
    assert (await examined(store)).fit


def test_scratch_key_when_made_then_it_tells_when() -> None:
    assert scratch_key(5, "a-b") == f"{SCRATCH_PREFIX}5-a-b"
    assert made_at_ms(scratch_key(5, "a-b")) == 5
    assert made_at_ms("probe/x-1") is None
