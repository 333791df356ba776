"""What handlers return, as it is kept with finished jobs. Pure."""

from __future__ import annotations

from msgspec import Raw

from osqueue.client.payloads import encode_result as encoded_result
from osqueue.config import RESULT_BYTES_MAX
from osqueue.errors import PayloadValidationError
from osqueue.worker.failures import FatalError

__all__ = ["kept_result"]


def kept_result(result: object) -> Raw:
    """JSON of a result. Raises `FatalError` for what cannot be kept: the work is done, and doing it
    again would bring the same.
    """
    try:
        encoded = encoded_result(result)
    except PayloadValidationError as error:
        raise FatalError(error) from None
    size = len(memoryview(encoded))
    if size > RESULT_BYTES_MAX:
        raise FatalError(
            PayloadValidationError(
                f"the result is too large to be kept: {size} bytes, and {RESULT_BYTES_MAX} are the "
                "most; store it elsewhere, and return where"
            )
        )
    return encoded
