"""For tests of programs that use osqueue, and of stores made for it. Imports no test framework."""

from __future__ import annotations

from typing import TYPE_CHECKING

from osqueue.lazy import lazy_names

if TYPE_CHECKING:
    from osqueue.testing.emptying import JobRun
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
    from osqueue.testing.look_contract import LookContract
    from osqueue.testing.memory_broker import MemoryBroker
    from osqueue.testing.queue_contract import QueueContract
    from osqueue.testing.schedule_contract import ScheduleContract
    from osqueue.testing.store_contract import StoreContract
    from osqueue.testing.stream_contract import StreamContract
    from osqueue.testing.submitted import SubmittedJob
    from osqueue.testing.transport_contract import TransportContract
    from osqueue.testing.workflow_contract import WorkflowContract

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
    "JobRun",
    "LookContract",
    "MemoryBroker",
    "QueueContract",
    "RandomFaults",
    "RandomHttpFaults",
    "ScheduleContract",
    "Script",
    "ScriptedStore",
    "Step",
    "StoreContract",
    "StreamContract",
    "SubmittedJob",
    "TransportContract",
    "WorkflowContract",
]

_HOME = {
    "Exchange": "osqueue.testing.http_faults",
    "Fault": "osqueue.testing.faults",
    "FaultProxy": "osqueue.testing.fault_proxy",
    "FaultSource": "osqueue.testing.faults",
    "FaultyStore": "osqueue.testing.faulty_store",
    "Happened": "osqueue.testing.faulty_store",
    "HttpFault": "osqueue.testing.http_faults",
    "HttpFaultSource": "osqueue.testing.http_faults",
    "HttpRequest": "osqueue.testing.http_faults",
    "HttpScript": "osqueue.testing.http_faults",
    "HttpStep": "osqueue.testing.http_faults",
    "JobContract": "osqueue.testing.job_contract",
    "LookContract": "osqueue.testing.look_contract",
    "JobRun": "osqueue.testing.emptying",
    "MemoryBroker": "osqueue.testing.memory_broker",
    "QueueContract": "osqueue.testing.queue_contract",
    "RandomFaults": "osqueue.testing.faults",
    "RandomHttpFaults": "osqueue.testing.http_faults",
    "ScheduleContract": "osqueue.testing.schedule_contract",
    "Script": "osqueue.testing.faults",
    "ScriptedStore": "osqueue.testing.faulty_store",
    "Step": "osqueue.testing.faults",
    "StoreContract": "osqueue.testing.store_contract",
    "StreamContract": "osqueue.testing.stream_contract",
    "SubmittedJob": "osqueue.testing.submitted",
    "TransportContract": "osqueue.testing.transport_contract",
    "WorkflowContract": "osqueue.testing.workflow_contract",
}

__getattr__, __dir__ = lazy_names(__name__, _HOME)
