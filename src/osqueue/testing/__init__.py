"""For tests of programs that use osqueue, and of stores made for it. Imports no test framework."""

from osqueue.testing.fault_proxy import FaultProxy
from osqueue.testing.faults import Fault, FaultSource, RandomFaults, Script, Step
from osqueue.testing.faulty_store import FaultyStore, Happened, ScriptedStore
from osqueue.testing.http_faults import (
    Exchange,
    HttpFault,
    HttpFaultSource,
    HttpRequest,
    HttpScript,
    HttpStep,
    RandomHttpFaults,
)
from osqueue.testing.job_contract import JobContract
from osqueue.testing.store_contract import StoreContract
from osqueue.testing.stream_contract import StreamContract
from osqueue.testing.transport_contract import TransportContract

__all__ = [
    "Exchange",
    "Fault",
    "FaultProxy",
    "FaultSource",
    "FaultyStore",
    "Happened",
    "HttpFault",
    "HttpFaultSource",
    "HttpRequest",
    "HttpScript",
    "HttpStep",
    "JobContract",
    "RandomFaults",
    "RandomHttpFaults",
    "Script",
    "ScriptedStore",
    "Step",
    "StoreContract",
    "StreamContract",
    "TransportContract",
]
