"""Object stores: the protocol, and the stores that keep it."""

from osqueue.storage.azure import AzureBackend
from osqueue.storage.environment import storage_url
from osqueue.storage.findings import ProbeReport
from osqueue.storage.gcs import GCSBackend
from osqueue.storage.keys import check_key, is_key
from osqueue.storage.local import LocalBackend
from osqueue.storage.memory import MemoryBackend
from osqueue.storage.probe import probe_store
from osqueue.storage.protocol import Dialects, Store, Stored, Version
from osqueue.storage.s3 import S3Backend
from osqueue.storage.throttled import ThrottledStorageBackend
from osqueue.storage.urls import OPENERS, Opener, open_store

__all__ = [
    "OPENERS",
    "AzureBackend",
    "Dialects",
    "GCSBackend",
    "LocalBackend",
    "MemoryBackend",
    "Opener",
    "ProbeReport",
    "S3Backend",
    "Store",
    "Stored",
    "ThrottledStorageBackend",
    "Version",
    "check_key",
    "is_key",
    "open_store",
    "probe_store",
    "storage_url",
]
