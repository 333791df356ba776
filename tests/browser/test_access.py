"""Who may do what: logging in and out, and what a role is offered."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pytest
from playwright.async_api import expect
from tests.browser.brokers import LocalBroker
from tests.browser.scene import BAD_ADDRESS, bury
from tests.browser.subpath import SubPath
from tests.browser.tab import Tab
from tests.integration.doors import Keys

from osqueue.wire.roles import Role

from .conftest import BROWSER, OpenTab, StartBroker

pytestmark = [*BROWSER]

PLACES: Mapping[Role, set[str]] = MappingProxyType(
    {
        Role.OBSERVE: {"Overview", "Jobs", "Dead letters", "Queue", "Schedules"},
        Role.ADMIN: {
            "Overview",
            "Jobs",
            "Dead letters",
            "Queue",
            "Schedules",
            "Playground",
            "State",
            "Settings",
        },
    }
)


async def log_in(tab: Tab, token: str) -> None:
    await tab.page.get_by_label("Token").fill(token)
    await tab.page.get_by_role("button", name="Log in").click()


async def opened(open_tab: OpenTab, origin: str, token: str) -> Tab:
    """A tab that has logged in."""
    tab = await open_tab(origin, None)
    tab.announce_refusal(401)
    tab.announce("WebSocket connection to .* failed")
    await tab.open()
    await log_in(tab, token)
    await expect(tab.heading).to_have_text("Overview")
    await tab.connected()
    return tab


async def asked(tab: Tab, method: str, path: str, body: object = None) -> int:
    """The status of a request that the page could make, were it to try."""
    script = """async ([method, path, body]) => (await fetch(path, {
        method, body: body && JSON.stringify(body),
        headers: {"content-type": "application/json", "x-osqueue-ui": "1"}})).status"""
    return int(await tab.page.evaluate(script, [method, path, body]))


async def test_page_when_no_token_was_shown_then_asks_for_one_and_tells_nothing(
    open_tab: OpenTab, guarded: LocalBroker
) -> None:
    async with guarded.client() as client:
        job_id = await client.submit_job("secret:type")
    tab = await open_tab(guarded.url, None)
    tab.announce_refusal(401)
    tab.announce("WebSocket connection to .* failed")
    for view in ("/", "/jobs", f"/jobs/{job_id}", "/dead", "/state"):
        await tab.open(view)
        await expect(tab.heading).to_have_text("Log in")
        assert "secret:type" not in await tab.page.content()


async def test_login_when_the_token_is_wrong_then_says_so_and_lets_nobody_in(
    open_tab: OpenTab, guarded: LocalBroker
) -> None:
    tab = await open_tab(guarded.url, None)
    tab.announce_refusal(401)
    tab.announce("WebSocket connection to .* failed")
    await tab.open()
    await log_in(tab, f"osq_{'0' * 12}_{'0' * 64}")
    await expect(tab.page.get_by_role("alert")).to_contain_text("does not know this token")
    await expect(tab.heading).to_have_text("Log in")


async def test_login_when_the_token_is_right_then_opens_the_view_that_was_asked_for(
    open_tab: OpenTab, guarded: LocalBroker, keys: Keys
) -> None:
    async with guarded.client() as client:
        job_id = await client.submit_job("email:send")
    tab = await open_tab(guarded.url, None)
    tab.announce_refusal(401)
    tab.announce("WebSocket connection to .* failed")
    await tab.open(f"/jobs/{job_id}")
    await log_in(tab, keys[Role.OBSERVE])
    await expect(tab.heading).to_have_text("email:send")
    await tab.connected()
    await tab.page.reload()
    await expect(tab.heading).to_have_text("email:send")
    await tab.connected()


async def test_session_when_begun_then_no_script_can_read_it_and_no_other_site_is_sent_it(
    open_tab: OpenTab, guarded: LocalBroker, keys: Keys
) -> None:
    tab = await opened(open_tab, guarded.url, keys[Role.ADMIN])
    (cookie,) = await tab.page.context.cookies()
    assert cookie.get("httpOnly")
    assert cookie.get("sameSite") == "Strict"
    kept: dict[str, Any] = await tab.page.evaluate(
        "({cookie: document.cookie, local: {...localStorage}, session: {...sessionStorage}})"
    )
    assert kept["cookie"] == ""
    assert keys[Role.ADMIN] not in repr(kept)


async def test_logout_when_done_then_the_session_opens_nothing_any_more(
    open_tab: OpenTab, guarded: LocalBroker, keys: Keys
) -> None:
    tab = await opened(open_tab, guarded.url, keys[Role.ADMIN])
    cookies = await tab.page.context.cookies()
    await tab.page.get_by_role("button", name="Log out").click()
    await expect(tab.heading).to_have_text("Log in")
    await tab.page.context.add_cookies(cookies)  # type: ignore[arg-type]  # as they were handed out
    assert await asked(tab, "GET", "v1/stats") == 401


async def test_session_when_its_token_is_revoked_then_is_over(
    open_tab: OpenTab, guarded: LocalBroker, keys: Keys
) -> None:
    tab = await opened(open_tab, guarded.url, keys[Role.OBSERVE])
    keys.write(*(made for role, made in keys.made.items() if role is not Role.OBSERVE))
    await expect(tab.heading).to_have_text("Log in")


@pytest.mark.parametrize("role", PLACES)
async def test_role_when_logged_in_then_is_offered_what_it_may_do(
    open_tab: OpenTab, guarded: LocalBroker, keys: Keys, role: Role
) -> None:
    tab = await opened(open_tab, guarded.url, keys[role])
    links = tab.page.get_by_role("navigation").get_by_role("link")
    names = {re.split(r"\d", name)[0].strip() for name in await links.all_inner_texts()}
    assert names == PLACES[role]


async def test_observer_when_looking_at_jobs_then_is_offered_no_action_and_refused_each(
    open_tab: OpenTab, guarded: LocalBroker, keys: Keys
) -> None:
    async with guarded.client() as client:
        (dead,) = await bury(client, BAD_ADDRESS, 1)
        waiting = await client.submit_job("email:send")
    tab = await opened(open_tab, guarded.url, keys[Role.OBSERVE])
    verbs = re.compile("^(Retry|Discard|Cancel|Change|Pause|Resume|Submit|Start|Select)")
    for view in (f"/jobs/{dead}", f"/jobs/{waiting}", "/jobs", "/dead", "/queue"):
        await tab.go(view)
        await expect(tab.main.get_by_role("button", name=verbs)).to_have_count(0)
        await expect(tab.main.get_by_role("checkbox")).to_have_count(0)
    await tab.page.evaluate("location.hash = '#/playground'")
    await expect(tab.main).to_contain_text("does not allow")
    tab.announce_refusal(403)
    for method, path, body in (
        ("POST", f"v1/jobs/{dead}/retry", None),
        ("DELETE", f"v1/jobs/{waiting}", None),
        ("POST", f"v1/jobs/{waiting}/priority", {"priority": 1}),
        ("POST", "v1/pause", None),
        ("POST", "v1/jobs", {"type": "x"}),
        ("POST", "v1/jobs/claim", {"workerId": "w"}),
        ("POST", "v1/jobs/actions", {"action": "retry", "jobIds": [dead]}),
        ("GET", "state", None),
        ("GET", "v1/settings", None),
    ):
        assert await asked(tab, method, path, body) == 403, path
    async with guarded.client() as client:
        assert (await client.get_job(dead)).status == "dead"
        assert (await client.get_job(waiting)).status == "unclaimed"


async def test_payloads_when_hidden_then_an_observer_sees_none_anywhere(
    open_tab: OpenTab, start_broker: StartBroker, keys: Keys
) -> None:
    broker = await start_broker("memory://", "--hide-payloads", keys=keys)
    async with broker.client() as client:
        job_id = await client.submit_job("email:send", {"card": "4111-1111"})
    tab = await opened(open_tab, broker.url, keys[Role.OBSERVE])
    await tab.go(f"/jobs/{job_id}")
    await expect(tab.main).to_contain_text("hidden")
    await tab.go("/jobs")
    await expect(tab.main).to_contain_text(job_id)
    assert "4111" not in await tab.page.content()
    tab.announce_refusal(403)
    assert await asked(tab, "GET", f"v1/jobs/{job_id}/payload") == 403


async def test_login_when_under_a_path_then_works_there(
    open_tab: OpenTab, guarded: LocalBroker, keys: Keys
) -> None:
    async with SubPath(guarded.url, "/queues/mail") as proxy:
        tab = await opened(open_tab, proxy.url, keys[Role.ADMIN])
        await tab.go("/settings")
        await expect(tab.heading).to_have_text("Settings")
        await tab.page.close()
