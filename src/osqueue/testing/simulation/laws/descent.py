"""The law of descent: the versions of a state object are one line, and each writer has his place.

- A commit comes once. It stands on the one before; where that is another writer's, it notes that.
- A leader has his epoch for himself, and counts on from his own commit before.
- Those who share the queue write only where no broker is named. One that was named they follow by
  one commit, of the next epoch, and name nobody. They may count ahead, never back, and bring a
  higher epoch only when they come.
"""

from __future__ import annotations

import msgspec

from osqueue.model.lineage import CommitId
from osqueue.testing.simulation.laws.law import expect

__all__ = ["Descent", "Header"]


class Header(msgspec.Struct, rename="camel"):
    """What a version tells of its writer."""

    epoch: int
    commit: str
    lineage: dict[str, str] = {}
    broker: str | None = None


class Descent:
    """All commits so far."""

    def __init__(self) -> None:
        self._commits: set[str] = set()
        self._leaders: dict[int, str] = {}
        self._writers: set[str] = set()

    def begin_anew(self) -> None:
        """The line is cut off: whoever goes on knows nothing of those before."""
        self._leaders.clear()
        self._writers.clear()

    def go_back(self, epoch: int) -> None:
        """The line goes on from a version of that epoch, and nobody need know of later ones."""
        self._leaders = {each: who for each, who in self._leaders.items() if each <= epoch}

    def expect_next(self, now: Header, before: Header | None, *, by_hand: bool) -> None:
        """``by_hand``: a person wrote the version before; then a commit may have come to nothing.

        Raises `BrokenLawError`.
        """
        name = CommitId.parse(now.commit)
        expect(name is not None, "%s is the name of a commit", now.commit)
        assert name is not None
        expect(now.commit not in self._commits, "commit %s comes once", now.commit)
        self._commits.add(now.commit)
        expect(name.epoch == now.epoch, "%s is of epoch %s", now.commit, now.epoch)
        if name.shares:
            expect(now.broker is None, "%s shares the queue, and names a broker", now.commit)
        else:
            leader = self._leaders.setdefault(name.epoch, name.writer)
            expect(leader == name.writer, "epoch %s has one leader", name.epoch)
        begins = name.writer not in self._writers
        self._writers.add(name.writer)
        if before is not None and name.shares:
            raised = before.broker is None and now.epoch > before.epoch
            expect(begins or not raised, "%s raises an epoch that it has shared", now.commit)
        if before is not None:
            _expect_follows(name, now, before, by_hand=by_hand)


def _expect_follows(name: CommitId, now: Header, before: Header, *, by_hand: bool) -> None:
    last = CommitId.parse(before.commit)
    assert last is not None
    same = (name.writer, name.epoch) == (last.writer, last.epoch)
    if same and not by_hand:
        expect(name.number == last.number + 1, "%s does not follow %s", now.commit, before.commit)
    elif name.epoch == last.epoch:
        expect(name.number > last.number, "%s does not follow %s", now.commit, before.commit)
        expect(same or name.shares, "%s leads an epoch that others had: %s", name.writer, last)
    expect(name.epoch >= last.epoch, "epochs grow: %s, %s", last.epoch, name.epoch)
    if name.shares and before.broker is not None:
        expect(
            name.epoch == last.epoch + 1,
            "%s was written beside the broker %s, which leads by %s",
            now.commit,
            before.broker,
            before.commit,
        )
    if name.writer != last.writer or (name.epoch != last.epoch and not name.shares):
        noted = now.lineage.get(last.writer if last.shares else str(last.epoch))
        expect(
            noted == before.commit,
            "%s notes that it stands on %s, not %s",
            now.commit,
            before.commit,
            noted,
        )
