"""Sessions of browsers: how they begin, what they open, and how they end."""

from __future__ import annotations

import re

import pytest

from osqueue.clock import SeededEntropy
from osqueue.config import (
    LOGIN_FAILURES_AT_ONCE,
    SESSION_IDLE_MS,
    SESSIONS_MAX,
    SESSIONS_PER_TOKEN_MAX,
    ServerSettings,
)
from osqueue.engine.callers import Caller
from osqueue.errors import AuthError, BrokerProtocolError, OverloadedError
from osqueue.server.door.auth import Doorkeeper, Principal
from osqueue.server.door.peers import Peer
from osqueue.server.door.sessions import Sessions, Way
from osqueue.server.door.tokens import NewToken, TokenList, new_token
from osqueue.server.http import Headers
from osqueue.wire.roles import Role

HERE = Peer("127.0.0.1", "127.0.0.1")
ENTROPY = SeededEntropy(5)
ADDRESS = "10.0.0.5:8080"
PAGE = {b"origin": b"http://10.0.0.5:8080", b"x-osqueue-ui": b"1"}
SECURE_PAGE = {b"origin": b"https://10.0.0.5:8080", b"x-osqueue-ui": b"1"}


class Clock:
    """Goes when it is told to."""

    def __init__(self) -> None:
        self.now_ms = 0

    def wall_ms(self) -> int:
        return self.now_ms

    def mono_ms(self) -> int:
        return self.now_ms

    def cpu_us(self) -> int:
        return 0


def token(*roles: Role, name: str = "web") -> NewToken:
    return new_token(name, frozenset(roles), ENTROPY)


class House:
    """A door with sessions, and the tokens that it knows."""

    def __init__(
        self, *made: NewToken, address: str = ADDRESS, hide_payloads: bool = False
    ) -> None:
        self.clock = Clock()
        self.tokens = TokenList({})
        self.know(*made)
        self.sessions = Sessions(
            self.tokens, address=address, clock=self.clock, entropy=SeededEntropy(7)
        )
        self.door = Doorkeeper(
            ServerSettings(hide_payloads=hide_payloads),
            frozenset({ADDRESS}),
            tokens=self.tokens,
            sessions=self.sessions,
        )

    def know(self, *made: NewToken) -> None:
        self.tokens.replace({each.entry.token_id.encode(): each.entry for each in made})

    def log_in(self, made: NewToken, headers: Headers = PAGE) -> bytes:
        """What the browser then sends along."""
        return self.door.log_in(headers, HERE, made.token).partition(b";")[0]

    def come(self, cookie: bytes, way: Way = Way.READ, **headers: bytes) -> Principal:
        return self.door.admit({b"cookie": cookie, **_named(headers)}, HERE, way)

    def status(self, cookie: bytes, way: Way = Way.READ, **headers: bytes) -> int | None:
        with pytest.raises(AuthError) as caught:
            self.come(cookie, way, **headers).check(None)
        return caught.value.status


def _named(headers: dict[str, bytes]) -> dict[bytes, bytes]:
    return {name.replace("_", "-").encode(): value for name, value in headers.items()}


def test_login_when_the_token_is_known_then_its_session_has_its_roles() -> None:
    made = token(Role.OBSERVE)
    house = House(made)
    principal = house.come(house.log_in(made))
    principal.check(Role.OBSERVE)
    assert (principal.name, principal.in_session, principal.current()) == ("web", True, True)
    assert principal.roles == {Role.OBSERVE}
    with pytest.raises(AuthError, match="web lacks the role admin"):
        principal.check(Role.ADMIN)


def test_cookie_when_set_then_no_script_and_no_other_site_gets_at_it() -> None:
    made = token(Role.OBSERVE)
    house = House(made)
    cookie = house.door.log_in(PAGE, HERE, made.token)
    assert re.fullmatch(
        rb"osqueue_session_[0-9a-f]{8}=[0-9a-f]{64}; Path=/; HttpOnly; SameSite=Strict", cookie
    )
    assert made.token.encode()[4:] not in cookie


def test_cookie_when_the_page_came_over_tls_then_it_never_goes_without() -> None:
    made = token(Role.OBSERVE)
    house = House(made)
    cookie = house.door.log_in(SECURE_PAGE, HERE, made.token)
    assert re.fullmatch(
        rb"__Host-osqueue_session_[0-9a-f]{8}=[0-9a-f]{64}"
        rb"; Path=/; HttpOnly; SameSite=Strict; Secure",
        cookie,
    )
    house.come(cookie.partition(b";")[0]).check(Role.OBSERVE)


def test_cookie_when_another_host_could_have_set_one_beside_it_then_its_own_counts() -> None:
    mine, theirs = token(Role.OBSERVE, name="mine"), token(Role.OBSERVE, name="theirs")
    house = House(mine, theirs)
    planted, own = house.log_in(theirs), house.log_in(mine, SECURE_PAGE)
    for cookies in (planted + b"; " + own, own + b"; " + planted):
        assert house.come(cookies).name == "mine"


def test_cookie_when_it_stands_among_others_then_it_is_found() -> None:
    made = token(Role.OBSERVE)
    house = House(made)
    cookie = house.log_in(made)
    for cookies in (b"a=1; " + cookie + b"; b=2", b"=;;x;" + cookie, cookie + b"; " + cookie):
        assert house.come(cookies).name == "web"


def test_cookie_when_of_another_broker_on_the_same_host_then_left_alone() -> None:
    made = token(Role.OBSERVE)
    one, other = House(made), House(made, address="10.0.0.5:8081")
    cookie, others = one.log_in(made), other.log_in(made)
    both = cookie + b"; " + others
    assert one.come(both).name == other.come(both).name == "web"
    assert one.status(others) == 401
    one.door.log_out({**PAGE, b"cookie": both})
    assert other.come(both).name == "web"


def test_login_when_done_again_then_the_secret_is_new_and_the_old_one_opens_nothing() -> None:
    """Whoever plants a cookie of his own in a browser is not let in by what its user does."""
    made = token(Role.OBSERVE)
    house = House(made)
    first = house.log_in(made)
    second = house.log_in(made, {**PAGE, b"cookie": first})
    assert first != second
    assert house.status(first) == 401
    assert house.come(second).name == "web"
    assert len(house.sessions) == 1


def test_login_when_a_secret_is_brought_along_then_it_is_not_taken_over() -> None:
    made = token(Role.OBSERVE)
    house = House(made)
    name = house.log_in(made).partition(b"=")[0]
    planted = name + b"=" + b"0" * 64
    house.log_in(made, {**PAGE, b"cookie": planted})
    assert house.status(planted) == 401


@pytest.mark.parametrize("way", [Way.READ, Way.WRITE, Way.UPGRADE])
def test_session_when_not_known_then_401_and_told_to_log_in(way: Way) -> None:
    made = token(Role.OBSERVE)
    house = House(made)
    name = house.log_in(made).partition(b"=")[0]
    for value in (b"", b"=", b"=0", b"=" + b"0" * 64, b"=\xff"):
        assert house.status(name + value, way, origin=b"http://10.0.0.5:8080") == 401


def test_session_when_read_by_then_no_page_has_to_be_named() -> None:
    made = token(Role.OBSERVE)
    house = House(made)
    house.come(house.log_in(made), Way.READ).check(Role.OBSERVE)


WRITES = {
    "nothing": {},
    "only the page": {"origin": b"http://10.0.0.5:8080"},
    "only the header": {"x_osqueue_ui": b"1"},
    "a foreign page": {"origin": b"https://evil.example", "x_osqueue_ui": b"1"},
    "another port": {"origin": b"http://10.0.0.5:3000", "x_osqueue_ui": b"1"},
    "a page without an origin": {"origin": b"null", "x_osqueue_ui": b"1"},
    "an empty one": {"origin": b"", "x_osqueue_ui": b"1"},
}


@pytest.mark.parametrize("what", WRITES)
def test_session_when_it_acts_from_elsewhere_than_its_pages_then_403(what: str) -> None:
    made = token(Role.ADMIN)
    house = House(made)
    cookie = house.log_in(made)
    assert house.status(cookie, Way.WRITE, **WRITES[what]) is None
    house.come(cookie, Way.WRITE, origin=PAGE[b"origin"], x_osqueue_ui=b"1").check(Role.ADMIN)


UPGRADES = {name: said for name, said in WRITES.items() if name != "only the page"}


@pytest.mark.parametrize("what", UPGRADES)
def test_session_when_a_websocket_is_opened_from_elsewhere_then_403(what: str) -> None:
    made = token(Role.ADMIN)
    house = House(made)
    cookie = house.log_in(made)
    assert house.status(cookie, Way.UPGRADE, **UPGRADES[what]) is None
    house.come(cookie, Way.UPGRADE, origin=PAGE[b"origin"]).check(Role.ADMIN)


def test_session_when_shown_where_no_browser_is_then_it_opens_nothing() -> None:
    made = token(Role.ADMIN)
    house = House(made)
    with pytest.raises(AuthError, match="asks for a token") as caught:
        house.door.admit({**PAGE, b"cookie": house.log_in(made)}, HERE)
    assert caught.value.status == 401


def test_token_when_shown_beside_a_session_then_it_counts() -> None:
    mine, other = token(Role.ADMIN, name="mine"), token(Role.OBSERVE, name="other")
    house = House(mine, other)
    cookie = house.log_in(mine)
    shown = {"authorization": f"Bearer {other.token}".encode()}
    principal = house.come(cookie, Way.WRITE, **shown)
    assert (principal.name, principal.in_session) == ("other", False)
    assert house.status(cookie, Way.READ, authorization=b"Bearer osq_nobodys") == 401


def test_session_when_its_token_is_revoked_then_401_and_forgotten() -> None:
    made, other = token(Role.OBSERVE), token(Role.OBSERVE, name="other")
    house = House(made, other)
    cookie = house.log_in(made)
    principal = house.come(cookie)
    house.know(other)
    assert not principal.current()
    assert house.status(cookie) == 401
    assert len(house.sessions) == 0
    house.know(made, other)
    assert house.status(cookie) == 401


def test_session_when_another_token_takes_the_id_of_its_own_then_401() -> None:
    made = token(Role.OBSERVE)
    house = House(made)
    cookie = house.log_in(made)
    house.tokens.replace({made.entry.token_id.encode(): token(Role.OBSERVE).entry})
    assert house.status(cookie) == 401


def test_session_when_the_roles_of_its_token_change_then_held_to_them() -> None:
    made = token(Role.OBSERVE)
    house = House(made)
    cookie = house.log_in(made)
    principal = house.come(cookie)
    house.know(made._replace(entry=made.entry._replace(roles=frozenset({Role.WORK}))))
    assert principal.roles == {Role.WORK}
    with pytest.raises(AuthError, match="lacks the role observe"):
        principal.check(Role.OBSERVE)
    house.come(cookie).check(Role.WORK)


def test_session_when_not_used_for_long_then_over() -> None:
    made = token(Role.OBSERVE)
    house = House(made)
    cookie = house.log_in(made)
    house.clock.now_ms += SESSION_IDLE_MS + 1
    assert house.status(cookie) == 401
    assert len(house.sessions) == 0


def test_session_when_used_now_and_then_then_it_goes_on() -> None:
    made = token(Role.OBSERVE)
    house = House(made)
    cookie = house.log_in(made)
    for _ in range(5):
        house.clock.now_ms += SESSION_IDLE_MS
        house.come(cookie).check(Role.OBSERVE)


def test_session_when_a_connection_by_it_is_open_then_that_is_use() -> None:
    made = token(Role.OBSERVE)
    house = House(made)
    cookie = house.log_in(made)
    principal = house.come(cookie)
    for _ in range(5):
        house.clock.now_ms += SESSION_IDLE_MS
        assert principal.current()
    house.clock.now_ms += SESSION_IDLE_MS + 1
    assert not principal.current()


def test_logout_when_done_then_requests_under_way_are_refused_and_who_waits_is_told() -> None:
    made = token(Role.OBSERVE)
    house = House(made)
    cookie = house.log_in(made)
    principal = house.come(cookie)
    undone = house.door.log_out({**PAGE, b"cookie": cookie})
    assert undone is not None
    assert undone.startswith(cookie.partition(b"=")[0] + b"=; ")
    assert undone.endswith(b"; Max-Age=0")
    with pytest.raises(AuthError, match="this session is over; log in again") as caught:
        principal.check(Role.OBSERVE)
    assert caught.value.status == 401
    assert house.status(cookie) == 401


@pytest.mark.parametrize("how", ["logout", "revoked", "another user"])
def test_session_when_somebody_waits_by_it_and_it_ends_then_he_leaves(how: str) -> None:
    made, other = token(Role.WORK), token(Role.WORK, name="other")
    house = House(made, other)
    cookies = {made.entry.name: house.log_in(made), "other": house.log_in(other)}
    principal, caller = house.come(cookies["web"]), Caller()
    with principal.waiting(caller, Role.WORK):
        if how == "revoked":
            house.know(other)
        else:
            cookie = cookies["web" if how == "logout" else "other"]
            house.door.log_out({**PAGE, b"cookie": cookie})
        assert caller.gone == (how != "another user")


def test_logout_when_nobody_is_logged_in_then_nothing_happens() -> None:
    made = token(Role.OBSERVE)
    house = House(made)
    other = house.log_in(made)
    for headers in (PAGE, {**PAGE, b"cookie": b"a=b"}):
        assert house.door.log_out(headers) is not None
    assert house.come(other).name == "web"


def test_sessions_when_one_token_has_too_many_then_its_least_used_goes_and_no_other() -> None:
    made, other = token(Role.OBSERVE), token(Role.OBSERVE, name="other")
    house = House(made, other)
    others = house.log_in(other)
    cookies = [house.log_in(made) for _ in range(SESSIONS_PER_TOKEN_MAX)]
    house.come(cookies[0])
    cookies.append(house.log_in(made))
    assert house.come(others).name == "other"
    assert house.status(cookies[1]) == 401
    for cookie in (cookies[0], *cookies[2:]):
        assert house.come(cookie).name == "web"
    assert len(house.sessions) == SESSIONS_PER_TOKEN_MAX + 1


def test_sessions_when_there_are_too_many_of_all_tokens_then_the_least_used_goes() -> None:
    tokens = [token(Role.OBSERVE, name=f"t{n}") for n in range(SESSIONS_MAX + 1)]
    house = House(*tokens)
    cookies = [house.log_in(each) for each in tokens]
    assert len(house.sessions) == SESSIONS_MAX
    assert house.status(cookies[0]) == 401
    assert house.come(cookies[1]).name == "t1"


def test_sessions_when_some_are_over_then_they_go_first() -> None:
    made = token(Role.OBSERVE)
    house = House(made)
    for _ in range(SESSIONS_PER_TOKEN_MAX):
        house.log_in(made)
    house.clock.now_ms += SESSION_IDLE_MS + 1
    house.log_in(made)
    assert len(house.sessions) == 1


@pytest.mark.parametrize(
    "shown", ["", "osq_", "osq_nobodys", "x" * 1_000, "\u00e9", "\ud800", "\0"]
)
def test_login_when_the_token_is_wrong_then_401_without_repeating_it(shown: str) -> None:
    house = House(token(Role.OBSERVE))
    with pytest.raises(AuthError) as caught:
        house.door.log_in(PAGE, HERE, shown)
    assert caught.value.status == 401
    assert not shown or shown not in caught.value.message
    assert len(house.sessions) == 0


def test_login_when_tried_too_often_then_429_and_when_to_come_but_a_right_one_goes_in() -> None:
    made = token(Role.OBSERVE)
    house = House(made)
    for _ in range(LOGIN_FAILURES_AT_ONCE):
        with pytest.raises(AuthError):
            house.door.log_in(PAGE, HERE, "wrong")
    with pytest.raises(OverloadedError) as caught:
        house.door.log_in(PAGE, HERE, "wrong")
    assert caught.value.retry_after_s == 5
    with pytest.raises(AuthError):
        house.door.log_in(PAGE, Peer("10.0.0.9", None), "wrong")
    assert house.come(house.log_in(made)).name == "web"
    house.clock.now_ms += 5_000
    with pytest.raises(AuthError):
        house.door.log_in(PAGE, HERE, "wrong")


def test_login_when_no_token_is_asked_for_then_said() -> None:
    door = Doorkeeper(ServerSettings(), frozenset({ADDRESS}))
    with pytest.raises(BrokerProtocolError, match="asks for no token"):
        door.log_in(PAGE, HERE, token(Role.OBSERVE).token)
    assert door.log_out(PAGE) is None


def test_session_when_no_token_is_asked_for_then_cookies_mean_nothing() -> None:
    door = Doorkeeper(ServerSettings(), frozenset({ADDRESS}))
    principal = door.admit({b"cookie": b"osqueue_session_00000000=1"}, HERE, Way.WRITE)
    principal.check(Role.ADMIN)
    assert not principal.in_session


SEES = [
    (frozenset({Role.WORK}), True),
    (frozenset({Role.WORK, Role.ADMIN}), True),
    (frozenset({Role.ADMIN}), False),
    (frozenset({Role.OBSERVE, Role.PRODUCE, Role.ADMIN}), False),
]


@pytest.mark.parametrize(("roles", "sees"), SEES)
def test_payloads_when_hidden_then_seen_by_those_who_were_told_to_work_on_them(
    roles: frozenset[Role], sees: bool
) -> None:
    made = token(*roles)
    house = House(made, hide_payloads=True)
    principal = house.come(house.log_in(made))
    assert principal.sees_payloads == sees
    house.know(made._replace(entry=made.entry._replace(roles=frozenset({Role.OBSERVE}))))
    assert not principal.sees_payloads
    house.know()
    assert not principal.sees_payloads


def test_payloads_when_hidden_and_no_token_is_asked_for_then_nobody_is_shown_them() -> None:
    door = Doorkeeper(ServerSettings(hide_payloads=True), frozenset({ADDRESS}))
    principal = door.admit({}, HERE)
    assert not principal.sees_payloads
    with pytest.raises(AuthError, match="hides payloads from anonymous"):
        principal.expect_payloads()


def test_payloads_when_not_hidden_then_everybody_sees_them() -> None:
    made = token(Role.OBSERVE)
    house = House(made)
    house.come(house.log_in(made)).expect_payloads()
