"""A worker for the README's quickstart: takes numbers apart.

osqueue worker examples.quickstart:worker
osqueue submit number:factor '{"n": 600851475143}'
"""

from __future__ import annotations

from typing import Any


def factor(payload: dict[str, Any]) -> None:
    """Print the prime factors of ``n``."""
    number = payload["n"]
    print(f"{number} = {' x '.join(map(str, prime_factors(number)))}", flush=True)


def prime_factors(number: int) -> list[int]:
    if number < 1:
        raise ValueError(f"{number} is not a positive number")
    factors, divisor = [], 2
    while divisor * divisor <= number:
        while number % divisor == 0:
            factors.append(divisor)
            number //= divisor
        divisor += 1
    return [*factors, number] if number > 1 or not factors else factors


worker = {"number:factor": factor}
