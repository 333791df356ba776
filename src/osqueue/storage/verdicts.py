"""What an answer of a cloud store means to a queue, and the sentence that tells it.

The tables of the libraries (`obstore_errors`, `gcs_errors`) hold verdicts on a *write*. For a
read nothing is ever unknown or in conflict: what did not answer was unavailable.
"""

from __future__ import annotations

import msgspec

from osqueue.errors import (
    CASConflictError,
    OsqueueError,
    StorageBackendError,
    StoreBusyError,
    StoreDeniedError,
    StoreNotFoundError,
    StoreUnavailableError,
    StoreUnknownError,
)

__all__ = ["Call", "Verdict", "busy", "conflict", "denied", "missing", "unavailable", "unknown"]


class Verdict(msgspec.Struct, frozen=True):
    """One of the store's six errors, and what is wrong or what to do."""

    error: type[CASConflictError | StorageBackendError]
    advice: str


class Call(msgspec.Struct, frozen=True):
    """A call that failed: ``doing`` completes "cannot ...", and names the place."""

    doing: str
    writes: bool

    def failed(self, verdict: Verdict, detail: str) -> OsqueueError:
        """The error to raise; ``detail`` is what the store or the network said."""
        kind = self._kind(verdict)
        doubt = "; it may or may not have been applied" if kind is StoreUnknownError else ""
        return kind(f"cannot {self.doing}: {verdict.advice} ({detail}){doubt}")

    def _kind(self, verdict: Verdict) -> type[OsqueueError]:
        if not self.writes and verdict.error in {StoreUnknownError, CASConflictError}:
            return StoreUnavailableError
        return verdict.error


def conflict(advice: str) -> Verdict:
    return Verdict(CASConflictError, advice)


def busy(advice: str) -> Verdict:
    return Verdict(StoreBusyError, advice)


def unknown(advice: str) -> Verdict:
    return Verdict(StoreUnknownError, advice)


def unavailable(advice: str) -> Verdict:
    return Verdict(StoreUnavailableError, advice)


def missing(advice: str) -> Verdict:
    return Verdict(StoreNotFoundError, advice)


def denied(advice: str) -> Verdict:
    return Verdict(StoreDeniedError, advice)
