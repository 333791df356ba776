"""From ``module:name`` to the handler, and from a payload in JSON to a result in JSON."""

from __future__ import annotations

import importlib
import pickle
import runpy
import sys
import types
from collections.abc import Callable
from typing import Any, Final

import msgspec

from osqueue.client.payloads import decode_payload
from osqueue.errors import ConfigError
from osqueue.jobs.handlers import HandlerSpec
from osqueue.jobs.schema import Schema
from osqueue.jobs.signatures import UNSAID, inspect_handler
from osqueue.worker.child.frames import Begin, ProcessContext
from osqueue.worker.results import kept_result

__all__ = ["Callee", "Program"]

_AS_MODULE: Final = "__mp_main__"
"""What the worker's main module is called here, as `multiprocessing` does: its own
``if __name__ == "__main__"`` keeps it from running the program once more."""


class Callee(msgspec.Struct, frozen=True, kw_only=True):
    """A handler, looked at once."""

    function: Callable[..., Any]
    takes_context: bool
    payload: Schema | None
    result: Schema | None

    def decode(self, payload: bytes) -> Any:
        """The payload as the handler wants it. Raises `PayloadValidationError`."""
        return decode_payload(payload) if self.payload is None else self.payload.decode(payload)

    def encode(self, result: Any) -> bytes:
        """A result as it is kept. Raises `FatalError`."""
        return bytes(kept_result(result, self.result))


class Program:
    """The worker's program, as far as this process has loaded it."""

    def __init__(self, begin: Begin) -> None:
        self.memory_bytes_max = begin.memory_bytes_max
        self._main = (begin.main_name, begin.main_path)
        self._callees: dict[tuple[str, str, bytes], Callee] = {}

    def load(self, target: str) -> Any:
        """What is named so, imported. Raises `ConfigError`, whatever the import fails of."""
        module_name, _, name = target.partition(":")
        try:
            found: Any = self._module(module_name)
            for part in name.split("."):
                found = getattr(found, part)
        except MemoryError:
            raise
        except BaseException as error:
            raise ConfigError(
                f"the handler {target} cannot be imported: {type(error).__name__}: {error}"
            ) from error
        return found

    def callee(self, target: str, context: ProcessContext) -> Callee:
        """The handler of that name, for jobs of one type. Raises `ConfigError`."""
        key = (target, context.type, context.types)
        if key not in self._callees:
            self._callees[key] = self._callee(self.load(target), context)
        return self._callees[key]

    def _callee(self, found: Any, context: ProcessContext) -> Callee:
        spec = getattr(found, "spec", None)
        function: Any = spec.function if isinstance(spec, HandlerSpec) else found
        signature = inspect_handler(context.type, function)
        if context.types:
            payload, result = self._types(context)
        elif isinstance(spec, HandlerSpec):
            payload, result = spec.schema, spec.result
        else:
            payload = _schema(signature.payload, context.type, "payload")
            result = _schema(signature.result, context.type, "result")
        return Callee(
            function=function,
            takes_context=signature.takes_context,
            payload=payload,
            result=result,
        )

    def _types(self, context: ProcessContext) -> tuple[Schema | None, Schema | None]:
        if b"__main__" in context.types:
            self._main_module()
        payload, result = pickle.loads(context.types)  # noqa: S301 - from the worker
        return (
            _schema(payload, context.type, "payload"),
            _schema(result, context.type, "result"),
        )

    def _module(self, name: str) -> Any:
        return self._main_module() if name == "__main__" else importlib.import_module(name)

    def _main_module(self) -> types.ModuleType:
        if _AS_MODULE not in sys.modules:
            name, path = self._main
            module = types.ModuleType(_AS_MODULE)
            if name is not None:
                content = runpy.run_module(name, run_name=_AS_MODULE, alter_sys=True)
            elif path is not None:
                content = runpy.run_path(path, run_name=_AS_MODULE)
            else:
                raise ImportError("the worker's main module has no file")
            module.__dict__.update(content)
            sys.modules[_AS_MODULE] = sys.modules["__main__"] = module
        return sys.modules[_AS_MODULE]


def _schema(wanted: Any, job_type: str, part: str) -> Schema | None:
    if wanted is UNSAID or wanted is Any:
        return None
    return Schema.of(wanted, job_type=job_type, part=part)
