"""Those who want to hear of the end of jobs, and what they have heard: none may wait for ever."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Onlookers"]


class Onlookers:
    """Who wants to hear of which jobs. ``how_over``: how a job has ended, or that it is dead."""

    def __init__(self, how_over: Callable[[str], str | None]) -> None:
        self._how_over = how_over
        self._heard: dict[str, dict[str, str | None]] = {}
        """By who it is and by job, how that is by what was heard last; ``None``: it goes on."""

    def begin(self, who: str) -> None:
        """Somebody begins, and knows of nothing."""
        self._heard[who] = {}

    def follow(self, who: str, job_id: str) -> None:
        """He wants to hear of a job."""
        self._heard[who].setdefault(job_id, None)

    def hear(self, who: str, job_id: str, status: str | None) -> None:
        """He was told how a job that he follows is; of others that is nothing to him."""
        if job_id in self._heard[who]:
            self._heard[who][job_id] = status

    def forget(self, who: str, job_id: str) -> None:
        """He does not want to hear of a job any more."""
        self._heard[who].pop(job_id, None)

    def followed(self, who: str) -> list[str]:
        """The jobs that go on by what he knows, or may: a dead one can be retried."""
        heard = self._heard[who].items()
        return [job_id for job_id, status in heard if status in {None, "dead"}]

    @property
    def unheard(self) -> list[tuple[str, str, str]]:
        """Who has not heard of which job that it is over, and how."""
        return [
            (who, job_id, how)
            for who, jobs in self._heard.items()
            for job_id, status in jobs.items()
            if (how := self._how_over(job_id)) is not None and how != status
        ]
