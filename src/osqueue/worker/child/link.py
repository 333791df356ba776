"""The process's end of the socket pair.

A handler may close the socket, write into it, or fork: the process then ends, or, in the fork, says
nothing more. What a worker would read as an answer is only ever sent from here.
"""

from __future__ import annotations

import os
import socket
import threading

from osqueue.worker.child.frames import (
    HEADER_BYTES,
    UNHEARD_EXIT,
    Answer,
    Request,
    body_bytes,
    decode_request,
    frame,
)

__all__ = ["Link"]


class Link:
    """Requests in, answers out; each by one thread at a time."""

    def __init__(self, fd: int) -> None:
        os.set_inheritable(fd, False)
        self._socket = socket.socket(fileno=fd)
        self._sending = threading.Lock()
        self._pid = os.getpid()
        os.register_at_fork(after_in_child=self._socket.close)

    @property
    def is_forked(self) -> bool:
        """Whether this is a fork of the process, made by a handler: it has no say."""
        return os.getpid() != self._pid

    def send(self, answer: Answer) -> None:
        """Tell the worker; when it cannot be told, the process has nothing left to do."""
        if self.is_forked:
            return
        message = frame(answer)
        try:
            with self._sending:
                self._socket.sendall(message)
        except OSError:
            os._exit(UNHEARD_EXIT)

    def receive(self) -> Request | None:
        """The next request; ``None`` when the worker is gone."""
        header = self._exactly(HEADER_BYTES)
        if header is None:
            return None
        body = self._exactly(body_bytes(header))
        return None if body is None else decode_request(body)

    def _exactly(self, count: int) -> bytes | None:
        received = bytearray(count)
        view = memoryview(received)
        while view:
            try:
                size = self._socket.recv_into(view)
            except OSError:
                return None
            if size == 0:
                return None
            view = view[size:]
        return bytes(received)
