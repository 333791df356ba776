"""The HTTP port as one ASGI application: the door, routes, and errors as answers."""

from __future__ import annotations

import logging
from collections.abc import Callable

import msgspec
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from osqueue.broker.service import DEFAULT_QUEUE, QueueService
from osqueue.config import ServerSettings
from osqueue.engine.callers import CallerGoneError
from osqueue.errors import BrokerLeadershipError, OsqueueError
from osqueue.server.dashboard.pages import dashboard_routes
from osqueue.server.door.auth import Doorkeeper
from osqueue.server.door.entrance import Entrance, enter, principal_of
from osqueue.server.door.origins import HeaderPairs
from osqueue.server.events import EventsPage
from osqueue.server.http import (
    Headers,
    commit_header,
    headers_of,
    respond,
    respond_error,
    respond_json,
    wants_consistent,
)
from osqueue.server.openapi import openapi_document
from osqueue.server.rest import rest_routes
from osqueue.server.rpc.connect import ConnectPort
from osqueue.server.telemetry.metrics import Metrics
from osqueue.server.telemetry.observed_http import REST, MetricsPage, counted
from osqueue.server.telemetry.observing import Observed, SeenRequest
from osqueue.server.websocket.handshake import PATH as WEBSOCKET_PATH
from osqueue.storage.throttled import ThrottledStorageBackend
from osqueue.wire import operations as ops
from osqueue.wire.roles import Role

__all__ = ["make_app"]

logger = logging.getLogger("osqueue.server")
_JOBS = "/v1/jobs"
_encode = msgspec.json.Encoder().encode


def make_app(
    service: QueueService,
    settings: ServerSettings,
    door: Doorkeeper,
    *,
    throttle: ThrottledStorageBackend | None = None,
    problems: Callable[[], list[str]] = list,
    observed: Observed | None = None,
    metrics: Metrics | None = None,
) -> ASGIApp:
    """The application. Every route stands behind ``door``, but for those open to everybody.

    ``problems``: what the broker goes on in spite of, and somebody should put right.
    """
    pages = _Pages(service, throttle, problems)
    observed = observed or Observed(REST)
    routes = [
        *rest_routes(service, settings, door),
        _page("/healthz", pages.health),
        _page("/readyz", pages.ready),
        _page("/state", Entrance(pages.state, door, Role.ADMIN)),
        _page("/v1/throttle-stats", Entrance(pages.throttle, door, Role.OBSERVE)),
        _page("/openapi.json", Entrance(pages.openapi, door, None)),
    ]
    events = Entrance(EventsPage(service, settings), door, ops.SUBSCRIBE.role)
    routes.append(_page("/v1/events", events, ops.SUBSCRIBE.name))
    if metrics is not None:
        routes.append(_page("/metrics", Entrance(MetricsPage(metrics), door, Role.OBSERVE)))
    routes += dashboard_routes(settings, door)
    rpc = ConnectPort(service, settings, door, observed)
    return _Application(door, routes, rpc, address=service.address, observed=observed)


class _Application:
    def __init__(
        self,
        door: Doorkeeper,
        routes: list[Route],
        rpc: ConnectPort,
        *,
        address: str,
        observed: Observed,
    ) -> None:
        self._door = door
        self._rpc = rpc
        self._rpc_paths = rpc.paths
        self._address = address
        self._observed = observed
        self._routes = routes
        self._names = {id(route.app): route.name for route in routes}
        self._exact = {
            (method, route.path): route.app
            for route in routes
            for method in route.methods or ()
            if "{" not in route.path
        }
        self._on_job = {
            (method, action): route.app
            for route in routes
            for method in route.methods or ()
            for job_path, _, action in [route.path.partition("/{jobId}/")]
            if job_path == _JOBS and action
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if scope["path"] in self._rpc_paths and scope["method"] != "OPTIONS":
            await self._rpc(scope, receive, send)
            return
        with self._observed.request() as seen:
            if self._observed.detailed:
                receive, send = counted(seen, scope, receive, send)
            await self._answer(scope, receive, send, seen)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, seen: SeenRequest) -> None:
        headers = headers_of(scope)
        extra: HeaderPairs = ()
        try:
            extra = self._door.check_page(headers)
            if scope["method"] == "OPTIONS":
                await self._options(headers, send, extra)
                return
            if scope["path"] == WEBSOCKET_PATH:
                extra = ()  # it is for no page
            await self._route(scope, receive, _with_headers(send, extra) if extra else send, seen)
        except OsqueueError as error:
            seen.failed(error)
            leader = self._other(error)
            if leader is None:
                await respond_error(send, error, extra)
            else:
                error.status = 307
                await respond_error(send, error, (*extra, _location(scope, leader)))
        except CallerGoneError as error:
            seen.failed(error)
        except Exception as error:
            seen.failed(error)
            logger.exception("%s %s failed inside", scope["method"], scope["path"])
            await respond_error(send, OsqueueError("the broker failed on this request"), extra)

    def _other(self, error: OsqueueError) -> str | None:
        """The broker that can take a request which this one surely has not applied."""
        if not isinstance(error, BrokerLeadershipError) or error.applied != "no":
            return None
        return None if error.leader == self._address else error.leader

    async def _route(self, scope: Scope, receive: Receive, send: Send, seen: SeenRequest) -> None:
        """Hand over to the route; a path that takes other methods is answered with 405."""
        app = self._exact.get((scope["method"], scope["path"])) or self._job_route(scope)
        if app is not None:
            seen.operation = self._names[id(app)]
            await app(scope, receive, send)
            return
        allowed: set[str] = set()
        for route in self._routes:
            match, child_scope = route.matches(scope)
            if match is Match.FULL:
                scope.update(child_scope)
                seen.operation = route.name
                await route.app(scope, receive, send)
                return
            if match is Match.PARTIAL:
                allowed |= route.methods or set()
        enter(scope, self._door)
        seen.outcome = "BrokerProtocolError"
        if scope["path"] == WEBSOCKET_PATH and scope["method"] == "GET":
            await respond(send, 404, headers=((b"content-length", b"0"),))  # nobody upgrades
        else:
            await _no_route(scope, send, allowed)

    def _job_route(self, scope: Scope) -> ASGIApp | None:
        """The routes that are called for every job, without trying all patterns."""
        job_path, _, action = scope["path"].rpartition("/")
        jobs, _, job_id = job_path.rpartition("/")
        app = self._on_job.get((scope["method"], action)) if jobs == _JOBS and job_id else None
        if app is not None:
            scope["path_params"] = {"jobId": job_id}
        return app

    async def _options(self, headers: Headers, send: Send, extra: HeaderPairs) -> None:
        preflight = self._door.preflight(headers)
        if preflight is None:
            message = b"Invalid Preflight Request"
            kind = (b"content-type", b"text/plain")
            length = (b"content-length", b"%d" % len(message))
            await respond(send, 400, body=message, headers=(kind, length, *extra))
        else:
            await respond(send, 204, headers=(*preflight, *extra))


def _location(scope: Scope, leader: str) -> tuple[bytes, bytes]:
    """Where the same request is to be sent."""
    path = scope.get("raw_path") or scope["path"].encode()
    query = b"?" + scope["query_string"] if scope["query_string"] else b""
    return b"location", b"%s://%s%s%s" % (scope["scheme"].encode(), leader.encode(), path, query)


async def _no_route(scope: Scope, send: Send, allowed: set[str]) -> None:
    status, name = (405, "Method Not Allowed") if allowed else (404, "Not Found")
    methods = ", ".join(sorted(allowed))
    hint = f": this path takes {methods}" if allowed else ""
    body = {
        "_tag": "BrokerProtocolError",
        "message": f"Route {scope['method']}:{scope['path']} not found{hint}",
        "error": name,
        "statusCode": status,
    }
    allow = ((b"allow", methods.encode()),) if allowed else ()
    await respond_json(send, _encode(body), status=status, headers=allow)


class _Pages:
    """What is asked now and then."""

    def __init__(
        self,
        service: QueueService,
        throttle: ThrottledStorageBackend | None,
        problems: Callable[[], list[str]],
    ) -> None:
        self._service = service
        self._throttle = throttle
        self._problems = problems
        self._openapi = openapi_document()

    async def health(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        await respond_json(send, b'{"status":"ok"}')

    async def ready(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Whether this broker leads and its store answers."""
        status = self._service.status()
        body = {
            "status": "ready" if status.ready else "not ready",
            **msgspec.to_builtins(status),
        }
        if problems := self._problems():
            body["problems"] = problems
        await respond_json(send, _encode(body), status=200 if status.ready else 503)

    async def state(self, scope: Scope, _receive: Receive, send: Send) -> None:
        principal_of(scope).expect_payloads()
        consistent = wants_consistent(scope["query_string"])
        reply = await self._service.raw_state(DEFAULT_QUEUE, consistent=consistent)
        await respond_json(send, reply.value, headers=commit_header(reply.position))

    async def throttle(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        throttle = self._throttle
        idle = b'{"throttling":false}'
        await respond_json(send, idle if throttle is None else _encode(throttle.stats()))

    async def openapi(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        await respond_json(send, self._openapi)


class _Bare:
    """Starlette takes an object as a bare ASGI application, but wraps methods."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


def _page(path: str, app: ASGIApp, name: str = "") -> Route:
    return Route(path, _Bare(app), methods=["GET"], name=name or path)


def _with_headers(send: Send, extra: HeaderPairs) -> Send:
    async def sending(message: object) -> None:
        assert isinstance(message, dict), "ASGI messages are dictionaries"
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *extra]
        await send(message)

    return sending
