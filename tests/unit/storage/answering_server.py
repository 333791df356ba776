"""A server that gives one HTTP answer to everything, or breaks off as it is told."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO, Literal

import msgspec

__all__ = ["Answer", "AnsweringServer", "answering"]


TLS = b"\x16"
"""The first byte of a handshake."""


class Answer(msgspec.Struct, frozen=True):
    """What to send. ``then`` breaks off instead: closed, reset, or silent for good."""

    status: int = 200
    headers: tuple[str, ...] = ()
    body: bytes = b""
    then: Literal["answer", "close", "reset", "hang"] = "answer"

    def encoded(self) -> bytes:
        head = [f"HTTP/1.1 {self.status} Whatever", f"Content-Length: {len(self.body)}"]
        return "\r\n".join([*head, "Connection: close", *self.headers, "", ""]).encode() + self.body


class AnsweringServer:
    """One connection at a time, each answered and closed; the requests are kept."""

    def __init__(self, *answers: Answer) -> None:
        self.requests: list[str] = []
        self._answers = list(answers)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._held: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        for each in (self._socket, *self._held):
            each.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        with suppress(OSError), connection.makefile("rb") as stream:
            self.requests.append(_read_request(connection, stream))
            if answer.then == "hang":
                self._held.append(connection)
                return
            if answer.then == "answer":
                connection.sendall(answer.encoded())
            if answer.then == "reset":
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()


def _read_request(connection: socket.socket, stream: BinaryIO) -> str:
    """The head of a request; nothing is read of what begins like TLS."""
    if connection.recv(1, socket.MSG_PEEK) == TLS:
        return ""
    lines = []
    while (line := stream.readline()) not in {b"\r\n", b""}:
        lines.append(line.decode())
    lengths = [line for line in lines if line.lower().startswith("content-length:")]
    stream.read(int(lengths[0].split(":")[1]) if lengths else 0)
    return "".join(lines)


@contextmanager
def answering(*answers: Answer) -> Iterator[AnsweringServer]:
    """A running server that gives ``answers`` in turn, and the last one from then on."""
    server = AnsweringServer(*answers)
    try:
        yield server
    finally:
        server.close()
