"""The queue itself: pure state, operations and rules.

Nothing in this package reads a clock, draws randomness, logs, waits or does I/O. ``now`` and ids
come in with each operation, so the same operations on the same base give the same outcomes and
the same bytes.
"""
