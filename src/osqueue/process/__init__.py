"""A process that runs handlers, seen from inside; `osqueue.worker.processes` is its other side."""
