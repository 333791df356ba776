"""Object stores: the protocol, and the stores that keep it."""

from osqueue.storage.findings import ProbeReport
from osqueue.storage.keys import check_key, is_key
from osqueue.storage.local import LocalBackend
from osqueue.storage.memory import MemoryBackend
from osqueue.storage.probe import probe_store
from osqueue.storage.protocol import Store, Stored, Version
from osqueue.storage.throttled import ThrottledStorageBackend
from osqueue.storage.urls import OPENERS, Opener, open_store

__all__ = [
    "OPENERS",
    "LocalBackend",
    "MemoryBackend",
    "Opener",
    "ProbeReport",
    "Store",
    "Stored",
    "ThrottledStorageBackend",
    "Version",
    "check_key",
    "is_key",
    "open_store",
    "probe_store",
]
