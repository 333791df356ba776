"""What handlers return, as it is kept with finished jobs. Pure."""

from __future__ import annotations

from typing import Any, Final

from msgspec import Raw

from osqueue.client.payloads import encode_result
from osqueue.config import RESULT_BYTES_MAX
from osqueue.errors import PayloadValidationError
from osqueue.jobs import Schema
from osqueue.worker.failures import FatalError

__all__ = ["kept_result"]

_ANY_JSON: Final = Schema.of(Any, part="result")


def kept_result(result: object, schema: Schema | None) -> Raw:
    """JSON of a result. Raises `FatalError` for what cannot be kept: the work is done, and doing it
    again would bring the same. What is said to be JSON is looked at: it travels with other jobs'.
    """
    try:
        if schema is None and isinstance(result, Raw):
            schema = _ANY_JSON
        encoded = encode_result(result) if schema is None else schema.encode(result)
    except PayloadValidationError as error:
        raise FatalError(error) from None
    size = len(memoryview(encoded))
    if size > RESULT_BYTES_MAX:
        raise FatalError(
            PayloadValidationError(
                f"the result takes {size} bytes, at most {RESULT_BYTES_MAX} are kept: store it "
                "elsewhere and return where"
            )
        )
    return encoded
