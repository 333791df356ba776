"""A process of handlers, seen from inside; `osqueue.worker.process` sees it from the worker.

It loads neither a client nor a worker, so that it starts fast and takes little memory.
"""
