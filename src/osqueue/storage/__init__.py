"""Object stores: the protocol, and the stores that keep it."""

from osqueue.storage.keys import check_key, is_key
from osqueue.storage.local import LocalBackend
from osqueue.storage.memory import MemoryBackend
from osqueue.storage.protocol import Store, Stored, Version
from osqueue.storage.urls import OPENERS, Opener, open_store

__all__ = [
    "OPENERS",
    "LocalBackend",
    "MemoryBackend",
    "Opener",
    "Store",
    "Stored",
    "Version",
    "check_key",
    "is_key",
    "open_store",
]
