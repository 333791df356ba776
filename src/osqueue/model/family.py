"""Jobs by the jobs that they name, such as those that they were submitted to run after."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from osqueue.model.job import Job

__all__ = ["Family"]


class Family:
    """Children by parent, each in the order in which they came."""

    __slots__ = ("_of",)

    def __init__(self) -> None:
        self._of: dict[str, dict[str, Job]] = {}

    def of(self, parent_id: str) -> Collection[Job]:
        """The children of a job; of one without any, none."""
        children = self._of.get(parent_id)
        return () if children is None else children.values()

    def add(self, job: Job, parents: Iterable[str]) -> None:
        for parent in parents:
            self._of.setdefault(parent, {})[job.id] = job

    def discard(self, job: Job, parents: Iterable[str]) -> None:
        """Forget a child of these."""
        for parent in parents:
            children = self._of[parent]
            del children[job.id]
            if not children:
                del self._of[parent]

    def pop(self, parent_id: str) -> Collection[Job]:
        """Forget all children of a job, and answer them."""
        return self._of.pop(parent_id, {}).values()

    def edges(self) -> set[tuple[str, str]]:
        """All of them, as (parent, child)."""
        return {(parent, child) for parent, children in self._of.items() for child in children}
