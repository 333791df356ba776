"""Google's own messages, compiled from the proto file when the tests run: none of our code."""

from __future__ import annotations

import importlib
import sys
import tempfile
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from google.protobuf import message_factory
from grpc_tools import protoc

__all__ = ["messages"]

PROTO = Path(__file__).parents[2] / "src" / "osqueue" / "wire" / "proto"


@cache
def module() -> ModuleType:
    """The compiled file."""
    target = tempfile.mkdtemp(prefix="osqueue-stubs-")
    failed = protoc.main(
        ["protoc", f"-I{PROTO / 'osqueue' / 'v1'}", f"--python_out={target}", "queue.proto"]
    )
    assert not failed, "the compiler refused"
    sys.path.insert(0, target)
    try:
        return importlib.import_module("queue_pb2")
    finally:
        sys.path.remove(target)


@cache
def messages(method: str) -> tuple[Any, Any]:
    """The classes of a method's request and answer."""
    service = module().DESCRIPTOR.services_by_name["QueueService"]
    found = service.methods_by_name[method]
    return (
        message_factory.GetMessageClass(found.input_type),
        message_factory.GetMessageClass(found.output_type),
    )
