"""From ``module:name`` to the handler, and from a payload in JSON to a result in JSON."""

from __future__ import annotations

import importlib
import inspect
import runpy
import sys
import types
from collections.abc import Callable
from typing import Any, Final

import msgspec

from osqueue.client import payloads
from osqueue.client.payloads import decode_payload
from osqueue.config import RESULT_BYTES_MAX
from osqueue.errors import ConfigError, PayloadValidationError
from osqueue.process.frames import Begin

__all__ = ["Callee", "Program", "encode_result"]

_AS_MODULE: Final = "__mp_main__"
"""What the worker's main module is called here, as `multiprocessing` does: its own
``if __name__ == "__main__"`` keeps it from running the program once more."""


class Callee(msgspec.Struct, frozen=True):
    """A handler, looked at once."""

    function: Callable[..., Any]
    takes_context: bool

    def decode(self, payload: bytes) -> Any:
        """The payload as the handler wants it. Raises `PayloadValidationError`."""
        return decode_payload(payload)


class Program:
    """The worker's program, as far as this process has loaded it."""

    def __init__(self, begin: Begin) -> None:
        self.memory_bytes_max = begin.memory_bytes_max
        self._main = (begin.main_name, begin.main_path)
        self._loaded: dict[str, Callee] = {}

    def callee(self, target: str) -> Callee:
        """The handler of that name, imported at first. Raises `ConfigError`."""
        if target not in self._loaded:
            self._loaded[target] = self._load(target)
        return self._loaded[target]

    def _load(self, target: str) -> Callee:
        module_name, _, name = target.partition(":")
        try:
            found = self._module(module_name)
            for part in name.split("."):
                found = getattr(found, part)
        except MemoryError:
            raise
        except BaseException as error:
            raise ConfigError(
                f"the handler {target} cannot be imported: {type(error).__name__}: {error}"
            ) from error
        return _inspected(target, found)

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


def encode_result(result: object) -> bytes:
    """A result as JSON. Raises `PayloadValidationError`."""
    encoded = bytes(payloads.encode_result(result))
    if len(encoded) > RESULT_BYTES_MAX:
        raise PayloadValidationError(
            f"the result takes {len(encoded)} bytes, at most {RESULT_BYTES_MAX} are kept: "
            "store it elsewhere and return where"
        )
    return encoded


def _inspected(target: str, found: Any) -> Callee:
    if not callable(found):
        raise ConfigError(f"the handler {target} is {type(found).__name__}, which is not callable")
    function = getattr(found, "function", found)
    required = [
        each
        for each in inspect.signature(function).parameters.values()
        if each.default is each.empty
        and each.kind in {each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD}
    ]
    return Callee(function, takes_context=len(required) == 2)
