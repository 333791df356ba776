"""What an engine keeps in memory beside the queue itself: each figure has a bound of its own."""

from __future__ import annotations

from typing import NamedTuple

from osqueue.engine.desk import TermDesk
from osqueue.engine.payloads import PayloadObjects
from osqueue.engine.term import Term

__all__ = ["Footprint", "footprint_of"]


class Footprint(NamedTuple):
    """How much there is at a moment. What only a term has is 0 without one."""

    claims: int
    """Claims under way that can be repeated."""
    discards: int
    """Deletions of payload objects in the background."""
    strays: int
    """Payload objects that are left to the sweeper."""
    room_taken: int
    """Bytes of payloads on their way in or out."""
    pending: int = 0
    """Requests that wait for a commit or a confirmation."""
    pending_bytes: int = 0
    """Bytes of those that wait for the next commit."""
    waiting: int = 0
    """Claims that wait for a job."""
    store_calls: int = 0
    """What the store has not answered yet."""
    remembered: int = 0
    """Ends of jobs and leases that are remembered."""
    stale: int = 0
    """Entries of tables that stand for nothing any more."""


def footprint_of(desk: TermDesk, term: Term | None, payloads: PayloadObjects) -> Footprint:
    """All of it at this moment."""
    room_taken = payloads.incoming.taken + payloads.outgoing.taken
    bare = Footprint(desk.claims, desk.discards, payloads.strays, room_taken)
    if term is None:
        return bare
    committer = term.committer
    return bare._replace(
        pending=committer.pending,
        pending_bytes=committer.pending_bytes,
        waiting=committer.waiting_claims,
        store_calls=term.store_calls,
        remembered=len(committer.ends.recent),
        stale=committer.stale,
    )
