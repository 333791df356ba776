"""The dashboard's page and files, as browsers, proxies and strangers ask for them."""

from __future__ import annotations

import gzip
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from tests.integration.conftest import Dial, Shared
from tests.integration.doors import Keys
from tests.integration.rest import Answer, Rest, request
from tests.integration.test_rest_own_host import listening, own_address

from osqueue.app import BrokerServer
from osqueue.config import BrokerSettings, ServerSettings
from osqueue.server.dashboard.files import INDEX, read_assets

ASSETS = read_assets()
PATHS = {"/" if name == INDEX else f"/ui/{name}": name for name in ASSETS}
SHOWN = pytest.mark.asyncio(loop_scope="module")

KINDS = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "json": "application/json; charset=utf-8",
    "png": "image/png",
    "svg": "image/svg+xml",
    "txt": "text/plain; charset=utf-8",
    "woff2": "font/woff2",
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)


def is_page(answer: Answer) -> bool:
    return (answer.status, answer.body) == (200, ASSETS[INDEX].data)


@SHOWN
@pytest.mark.parametrize("path", PATHS)
async def test_file_when_asked_for_then_served_with_all_that_makes_browsers_careful(
    shared: Shared, path: str
) -> None:
    answer = await shared.rest.get(path)
    assert (answer.status, answer.body) == (200, ASSETS[PATHS[path]].data)
    said = answer.headers
    assert said["content-type"] == KINDS[PATHS[path].rpartition(".")[2]]
    assert int(said["content-length"]) == len(answer.body)
    assert said["content-security-policy"] == POLICY
    assert said["x-content-type-options"] == "nosniff"
    assert said["referrer-policy"] == "no-referrer"
    assert said["x-frame-options"] == "DENY"
    assert said["cross-origin-opener-policy"] == "same-origin"
    assert said["cross-origin-resource-policy"] == "same-origin"
    assert said["cache-control"] == "no-cache"
    assert "content-encoding" not in said
    assert "set-cookie" not in said


@SHOWN
@pytest.mark.parametrize("path", ["/", "/ui/app.js"])
async def test_head_when_asked_then_the_same_headers_and_no_body(shared: Shared, path: str) -> None:
    whole = await shared.rest.get(path)
    head = await shared.rest.send("HEAD", path, headers={})
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-length"] == str(len(whole.body))
    assert head.headers["etag"] == whole.headers["etag"]


KNOWN = ["{etag}", "{strong}", '"x", {etag}', '{strong},"x"', "*", 'W/"x",\t{etag} ']
UNKNOWN = ["", '"x"', 'W/"x"', "x", '"', "{bare}", "{etag}x", "\u00e9"]


@SHOWN
@pytest.mark.parametrize(
    ("form", "status"), [*[(each, 304) for each in KNOWN], *[(each, 200) for each in UNKNOWN]]
)
async def test_file_when_the_browser_names_what_it_has_then_not_sent_again(
    shared: Shared, form: str, status: int
) -> None:
    etag = (await shared.rest.get("/ui/app.js")).headers["etag"]
    strong = etag.removeprefix("W/")
    named = form.format(etag=etag, strong=strong, bare=strong.strip('"'))
    answer = await shared.rest.send("GET", "/ui/app.js", headers={"if-none-match": named})
    assert answer.status == status
    assert answer.headers["etag"] == etag
    assert answer.headers["cache-control"] == "no-cache"
    if status == 304:
        assert answer.body == b""


@SHOWN
async def test_connection_when_a_file_was_not_modified_then_it_goes_on(
    shared: Shared, dial: Dial
) -> None:
    wire = await dial(shared.broker)
    for _ in range(2):
        await wire.send(request("/ui/app.js", b"", "if-none-match: *", method="GET"))
        head = await wire.reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 304 ")
        assert b"transfer-encoding" not in head


ENCODINGS = {
    "gzip": True,
    "GZIP": True,
    "gzip, deflate, br, zstd": True,
    "br;q=1.0, gzip;q=0.5": True,
    "*": True,
    "identity;q=0, *;q=0.1": True,
    "": False,
    "br": False,
    "identity": False,
    "gzip;q=0": False,
    "gzip;q=0.0, *": False,
    "*;q=0": False,
    "gzipped": False,
    "x gzip": False,
}


@pytest.fixture
async def raw() -> AsyncIterator[aiohttp.ClientSession]:
    """A client that leaves answers as they are."""
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        yield session


@pytest.mark.parametrize("accepted", ENCODINGS)
async def test_file_when_the_browser_takes_gzip_then_compressed_and_else_not(
    broker: BrokerServer, raw: aiohttp.ClientSession, accepted: str
) -> None:
    answer = await Rest(raw, broker.url).send("GET", "/", headers={"accept-encoding": accepted})
    page = ASSETS[INDEX]
    assert ("content-encoding" in answer.headers) == ENCODINGS[accepted]
    if ENCODINGS[accepted]:
        assert answer.headers["content-encoding"] == "gzip"
        assert gzip.decompress(answer.body) == page.data
    else:
        assert answer.body == page.data
    assert int(answer.headers["content-length"]) == len(answer.body)


async def test_file_when_served_then_caches_are_told_what_it_depends_on(
    broker: BrokerServer, session: aiohttp.ClientSession
) -> None:
    async with session.get(broker.url) as answer:
        assert set(answer.headers.getall("vary")) == {"Origin", "Accept-Encoding"}


ELSEWHERE = [
    "/ui/",
    "/ui/nope.js",
    "/ui/APP.JS",
    "/ui/app.js/",
    "/ui/app.js%00",
    "/ui/app.js%20",
    "/ui//app.js",
    "/ui/./app.js",
    "/ui/../ui/app.js",
    "/ui/%2e%2e/%2e%2e/files.py",
    "/ui/..%2ffiles.py",
    "/ui/..%5cfiles.py",
    "/ui/../files.py",
    "/ui/%252e%252e/files.py",
    "/ui/..;/files.py",
    "/ui/__init__.py",
    "/ui//etc/passwd",
    "/ui/%2fetc%2fpasswd",
    "/ui/../../../../../../etc/passwd",
    "/ui/%c0%ae%c0%ae/etc/passwd",
    "/ui/index.html",
    "/index.html",
    "//",
    "/osqueue/",
    "/ui/app.js;x",
]


@pytest.mark.parametrize("path", ELSEWHERE)
async def test_path_when_no_file_has_it_then_404_whatever_it_would_lead_to(
    broker: BrokerServer, dial: Dial, path: str
) -> None:
    wire = await dial(broker)
    await wire.send(request(path, method="GET"))
    answer = await wire.answer()
    assert (answer.status, answer.tag) == (404, "BrokerProtocolError")
    assert b"root:" not in answer.body


@SHOWN
@pytest.mark.parametrize("path", ["/ui/%61pp.js", "/ui/app%2ejs", "/ui%2fapp.js", "/ui/app.js?v=2"])
async def test_path_when_written_otherwise_then_the_same_file(shared: Shared, path: str) -> None:
    assert (await shared.rest.get(path)).body == ASSETS["app.js"].data


@SHOWN
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_file_when_it_is_to_be_changed_then_405(shared: Shared, method: str) -> None:
    for path in ("/", "/ui/app.js"):
        answer = await shared.rest.send(method, path, headers={})
        assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")


async def test_dashboard_when_turned_off_then_nothing_of_it_is_there(
    session: aiohttp.ClientSession,
) -> None:
    settings = BrokerSettings(server=ServerSettings(dashboard=False))
    async with BrokerServer("memory://", host="127.0.0.1", port=0, settings=settings) as broker:
        rest = Rest(session, broker.url)
        for path in (*PATHS, "/ui/session"):
            assert (await rest.get(path)).status == 404
        assert (await rest.get("/v1/stats")).status == 200


async def test_files_when_tokens_are_asked_for_then_served_without_one(
    session: aiohttp.ClientSession, tmp_path: Any
) -> None:
    async with Keys(tmp_path).broker() as broker:
        rest = Rest(session, broker.url)
        for path in PATHS:
            assert (await rest.get(path)).status == 200
        assert (await rest.get("/v1/stats")).status == 401


async def test_page_when_a_foreign_site_frames_or_fetches_it_then_refused(
    broker: BrokerServer, session: aiohttp.ClientSession
) -> None:
    answer = await Rest(session, broker.url).get("/", origin="https://evil.example")
    assert (answer.status, answer.tag) == (403, "AuthError")


async def test_page_when_asked_for_from_elsewhere_then_refused_until_that_is_allowed() -> None:
    """The nearest to another host: from this one's address to its loopback."""
    connector = aiohttp.TCPConnector(local_addr=(own_address(4), 0))
    async with listening("0.0.0.0") as broker, aiohttp.ClientSession(connector=connector) as other:
        rest = Rest(other, f"http://127.0.0.1:{broker.address.rpartition(':')[2]}")
        for path in ("/", "/ui/app.js", "/ui/session"):
            answer = await rest.get(path)
            assert (answer.status, answer.tag) == (403, "AuthError")
            assert "osqueue token new" in answer.message


@pytest.mark.parametrize("path", ["/", "/ui/app.js", "/ui/session"])
async def test_page_when_asked_for_under_a_name_that_may_be_a_strangers_then_refused(
    broker: BrokerServer, session: aiohttp.ClientSession, path: str
) -> None:
    answer = await Rest(session, broker.url).get(path, host="evil.example:8080")
    assert (answer.status, answer.tag) == (403, "AuthError")


@asynccontextmanager
async def proxied(broker: BrokerServer, prefix: str) -> AsyncIterator[str]:
    """A proxy that serves a broker under a path, which it strips, and keeps the name."""

    async def forward(asked: web.Request) -> web.StreamResponse:
        path = asked.raw_path.removeprefix(prefix)
        async with aiohttp.ClientSession(auto_decompress=False) as client:
            headers = {k: v for k, v in asked.headers.items() if k.lower() != "connection"}
            async with client.request(
                asked.method, broker.url + path, headers=headers, data=await asked.read()
            ) as answer:
                body = await answer.read()
                kept = [
                    (name, value)
                    for name, value in answer.headers.items()
                    if name.lower() not in {"content-length", "keep-alive", "connection"}
                ]
                response = web.Response(status=answer.status, body=body)
                for name, value in kept:
                    if name.lower() == "content-type":
                        response.headers[name] = value
                    else:
                        response.headers.add(name, value)
                return response

    app = web.Application()
    app.router.add_route("*", prefix + "/{path:.*}", forward)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server is not None
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
    try:
        yield f"http://127.0.0.1:{port}{prefix}/"
    finally:
        await runner.cleanup()


async def test_page_when_served_under_a_path_by_a_proxy_then_all_it_needs_is_found_from_there(
    tmp_path: Any,
) -> None:
    keys = Keys(tmp_path)
    async with (
        keys.broker() as broker,
        proxied(broker, "/tools/queue") as page,
        aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser,
    ):
        text = await (await browser.get(page)).text()
        for link in re.findall(r'(?:src|href)="([^"]+)"', text):
            if not link.startswith("data:"):
                assert (await browser.get(page + link)).status == 200
        own = {"origin": page.removesuffix("/tools/queue/"), "x-osqueue-ui": "1"}
        token = {"token": keys.spare.token}
        assert (await browser.post(f"{page}ui/session", json=token, headers=own)).status == 401
        keys.write(*keys.made.values(), keys.spare)
        while (await browser.post(f"{page}ui/session", json=token, headers=own)).status != 204:
            pass
        assert (await browser.get(f"{page}v1/stats")).status == 200
        submitted = await browser.post(f"{page}v1/jobs", json={"payload": 1}, headers=own)
        assert submitted.status == 200
