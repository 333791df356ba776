"""The systems that are compared, each with what it needs and its settings."""

from __future__ import annotations

from dataclasses import dataclass

from peers.services import Service

__all__ = ["OURS", "SYSTEMS", "System"]

OURS = "osqueue"


@dataclass(frozen=True)
class System:
    """``module`` of `peers.systems` says what each setting is, and where that is documented."""

    name: str
    module: str
    service: Service
    settings: tuple[str, ...] = ("default", "best")


SYSTEMS = (
    System(OURS, "osqueue", Service.BROKER, ("default", "ten", "best")),
    System("dramatiq", "dramatiq", Service.REDIS),
    System("taskiq", "taskiq", Service.REDIS, ("default", "best", "unacknowledged")),
    System("celery", "celery", Service.REDIS),
    System("rq", "rq", Service.REDIS),
    System("huey", "huey", Service.REDIS),
    System("huey-sqlite", "huey", Service.FOLDER),
    System("pgqueuer", "pgqueuer", Service.POSTGRES),
    System("procrastinate", "procrastinate", Service.POSTGRES),
)
