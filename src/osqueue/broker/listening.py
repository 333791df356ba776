"""Who has the engine record what becomes of jobs: it does so as long as anybody wants to know."""

from __future__ import annotations

from osqueue.broker.engines import QueueEngine

__all__ = ["Listening"]


class Listening:
    """Subscribers are told of the first commit how many jobs there are, and of all others what they
    have changed; whoever overhears it takes what comes, and must not disturb that.
    """

    def __init__(self, engine: QueueEngine) -> None:
        self._engine = engine
        self._subscribed = self._overheard = False

    def listen(self, *, wanted: bool) -> None:
        """Begin to tell subscribers, or tell them no more. Raises unless this broker leads."""
        if wanted or not self._overheard:
            self._engine.listen(wanted=wanted)
        self._subscribed = wanted

    def overhear(self, *, wanted: bool) -> None:
        """The same for who listens beside them."""
        if not self._subscribed:
            self._engine.listen(wanted=wanted)
        self._overheard = wanted

    def over(self) -> None:
        """The broker leads no more: nothing is recorded, until somebody listens anew."""
        self._overheard = False
