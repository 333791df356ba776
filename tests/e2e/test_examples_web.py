"""The web applications of the examples, tested as their authors would: with a broker in memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from examples import django_view, fastapi_app
from examples.email import jobs
from osqueue.testing import MemoryBroker


@pytest.fixture
def broker() -> Iterator[MemoryBroker]:
    with MemoryBroker() as broker:
        yield broker


@pytest.fixture
def django_client(broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch) -> Client:
    if not settings.configured:
        settings.configure(
            ROOT_URLCONF="examples.django_view", ALLOWED_HOSTS=["testserver"], USE_TZ=True
        )
    client = broker.new_sync_client(jobs)
    monkeypatch.setattr(django_view, "client", lambda: client)
    return Client()


def test_django_view_when_somebody_signs_up_then_the_email_is_sent(
    broker: MemoryBroker, django_client: Client
) -> None:
    answer = django_client.post("/signups", {"email": "ada@example.org"})

    job = broker.assert_submitted("email:send", to="ada@example.org", subject="Welcome")
    assert (answer.status_code, answer.json()) == (HTTPStatus.ACCEPTED, {"job_id": job.job_id})
    broker.run_until_empty_sync(jobs)
    assert django_client.get(f"/signups/{job.job_id}").json() == {"status": "completed"}


def test_django_view_when_asked_wrongly_then_says_so(django_client: Client) -> None:
    assert django_client.get("/signups").status_code == HTTPStatus.METHOD_NOT_ALLOWED
    assert django_client.get("/signups/unknown").status_code == HTTPStatus.NOT_FOUND


@pytest.fixture
def web(broker: MemoryBroker) -> Iterator[None]:
    client = broker.new_client(jobs)
    overrides = fastapi_app.app.dependency_overrides
    overrides[fastapi_app.client_of] = lambda: client
    yield
    overrides.clear()


@pytest.mark.usefixtures("web")
async def test_fastapi_app_when_somebody_signs_up_then_the_email_is_sent(
    broker: MemoryBroker,
) -> None:
    status, accepted = await request("POST", "/signups", {"email": "ada@example.org"})

    job = broker.assert_submitted("email:send", to="ada@example.org", subject="Welcome")
    assert (status, accepted) == (HTTPStatus.ACCEPTED, {"job_id": job.job_id})
    await broker.run_until_empty(jobs)
    assert (await request("GET", f"/signups/{job.job_id}"))[1] == {"status": "completed"}


@pytest.mark.usefixtures("web")
async def test_fastapi_app_when_asked_wrongly_then_says_so_and_submits_nothing(
    broker: MemoryBroker,
) -> None:
    status, _ = await request("POST", "/signups", {"email": "nobody"})
    assert status == HTTPStatus.UNPROCESSABLE_ENTITY
    assert broker.submitted() == []
    assert (await request("GET", "/signups/unknown"))[0] == HTTPStatus.NOT_FOUND


async def request(method: str, path: str, body: object = None) -> tuple[int, Any]:
    """One request, as a server would hand it to the application."""
    said: list[Any] = []
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"content-type", b"application/json")],
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": json.dumps(body).encode()}

    async def send(message: Any) -> None:
        said.append(message)

    await fastapi_app.app(scope, receive, send)
    return said[0]["status"], json.loads(b"".join(each.get("body", b"") for each in said[1:]))
