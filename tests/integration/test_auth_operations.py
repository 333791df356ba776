"""Every operation, by every role, on every transport."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing
from typing import Any, NamedTuple

import pytest
import pytest_asyncio
from tests.integration.doors import REQUESTS, STREAMS, UNARY, Case, Keys, cases

from osqueue.app import BrokerServer
from osqueue.client.credentials import Credentials
from osqueue.client.transports.kinds import dialler_of
from osqueue.client.transports.protocol import QueueTransportAdapter, streaming
from osqueue.config import ClientSettings
from osqueue.errors import AuthError, OsqueueError
from osqueue.wire import operations as ops
from osqueue.wire.operations import Operation
from osqueue.wire.roles import Role, called

pytestmark = pytest.mark.asyncio(loop_scope="module")

KINDS = ("rest", "connect", "grpc", "ws")
STREAMING = ("connect", "grpc", "ws")


class Locked(NamedTuple):
    """A broker, and a transport of each kind for each role."""

    broker: BrokerServer
    keys: Keys
    transports: dict[tuple[str, Role | None], QueueTransportAdapter]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def locked(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Locked]:
    keys = Keys(tmp_path_factory.mktemp("keys"))
    async with keys.broker() as broker:
        transports = {
            (kind, role): transport(kind, broker, None if role is None else keys[role])
            for kind in KINDS
            for role in (None, *Role)
        }
        yield Locked(broker, keys, transports)
        for each in transports.values():
            await each.close()


def transport(kind: str, broker: BrokerServer, token: str | None) -> QueueTransportAdapter:
    credentials = Credentials(token=token)
    return dialler_of(kind, ClientSettings(), credentials).dial(broker.url)


async def asked(transport: QueueTransportAdapter, case: Case) -> OsqueueError | None:
    """The error that the broker answered with, if it did."""
    operation = case.operation
    request = REQUESTS.get(operation.name)
    job_id = getattr(request, "job_id", None) or "none" if operation.on_one_job else None
    try:
        await transport.call(operation, request, job_id=job_id, timeout_s=20)
    except OsqueueError as error:
        return error
    return None


def check(kind: str, case: Case, error: OsqueueError | None, *, token: str | None) -> None:
    """The door has opened, or said why not; what is behind it does not matter here."""
    opened = token is not None or kind != "ws"  # a WebSocket is opened for all that comes by it
    if case.allowed and opened:
        assert not isinstance(error, AuthError), case
        return
    assert isinstance(error, AuthError), case
    assert error.status == (401 if token is None else 403)
    if token is not None:
        assert f"the-{case.role} lacks the role {called(case.operation.role)}" in error.message
        assert token[4:] not in error.message


def asked_by(kinds: Iterable[str], operations: Iterable[Operation]) -> list[Any]:
    """Each of the operations, by every role, over each kind of transport that has it."""
    return [
        pytest.param(kind, case, id=f"{kind}-{case}")
        for kind in kinds
        for case in cases(*operations)
        if kind != "rest" or case.operation is not ops.ADD_CREDIT
    ]


@pytest.mark.parametrize(("kind", "case"), asked_by(KINDS, UNARY))
async def test_operation_when_asked_for_by_a_role_then_as_the_table_says(
    kind: str, case: Case, locked: Locked
) -> None:
    token = None if case.role is None else locked.keys[case.role]
    error = await asked(locked.transports[kind, case.role], case)
    check(kind, case, error, token=token)


@pytest.mark.parametrize(("kind", "case"), asked_by(STREAMING, STREAMS))
async def test_stream_when_asked_for_by_a_role_then_as_the_table_says(
    kind: str, case: Case, locked: Locked
) -> None:
    token = None if case.role is None else locked.keys[case.role]
    error: Any = None
    adapter = streaming(locked.transports[kind, case.role])
    stream = adapter.stream(case.operation, REQUESTS[case.operation.name], timeout_s=20)
    async with aclosing(stream):
        try:
            async with asyncio.timeout(0.05 if case.allowed else 20):
                await anext(stream)
        except TimeoutError:
            pass  # it is open, and there is nothing to tell
        except OsqueueError as caught:
            error = caught
    check(kind, case, error, token=token)
