"""The door: who is admitted, to what, and what the others are told."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osqueue.clock import SeededEntropy
from osqueue.config import ServerSettings
from osqueue.errors import AuthError
from osqueue.server.door.auth import ANONYMOUS, Doorkeeper
from osqueue.server.door.peers import Peer
from osqueue.server.door.tokens import NewToken, TokenList, new_token
from osqueue.wire.roles import Role

OWN = frozenset({"10.0.0.5:8080", "localhost:8080"})
HERE = Peer("127.0.0.1", "127.0.0.1")
ELSEWHERE = Peer("10.0.0.6", "10.0.0.5")
ENTROPY = SeededEntropy(5)
NAMES = (b"authorization", b"origin", b"host", b"x-forwarded-for", b"x-real-ip", b"forwarded")


def token(*roles: Role, name: str = "web") -> NewToken:
    return new_token(name, frozenset(roles), ENTROPY)


def listed(*tokens: NewToken) -> TokenList:
    return TokenList({each.entry.token_id.encode(): each.entry for each in tokens})


def keeper(tokens: TokenList | None = None, **settings: Any) -> Doorkeeper:
    return Doorkeeper(ServerSettings(**settings), OWN, tokens=tokens)


def bearer(made: NewToken) -> dict[bytes, bytes]:
    return {b"authorization": f"Bearer {made.token}".encode()}


def status_of(door: Doorkeeper, headers: dict[bytes, bytes], peer: Peer = HERE) -> int | None:
    with pytest.raises(AuthError) as caught:
        door.admit(headers, peer)
    return caught.value.status


@pytest.mark.parametrize("role", [None, *Role])
def test_no_token_when_none_is_configured_then_this_host_may_do_all(role: Role | None) -> None:
    principal = keeper().admit({}, HERE)
    principal.check(role)
    assert (principal.name, principal.current()) == (ANONYMOUS, True)


def test_another_host_when_no_token_is_configured_then_told_what_to_set() -> None:
    with pytest.raises(AuthError, match=r"not 10\.0\.0\.6") as caught:
        keeper().admit({}, ELSEWHERE)
    assert caught.value.status is None
    for way in ("osqueue token new", "OSQUEUE_TOKENS_FILE", "BROKER_ALLOW_REMOTE=1"):
        assert way in caught.value.message


def test_another_host_when_allowed_then_admitted() -> None:
    keeper(allow_remote=True).admit({}, ELSEWHERE).check(Role.ADMIN)


def test_another_host_when_it_has_a_token_then_admitted() -> None:
    made = token(Role.WORK)
    assert keeper(listed(made)).admit(bearer(made), ELSEWHERE).name == "web"


@pytest.mark.parametrize("host", [b"10.0.0.6", b"127.0.0.1, 10.0.0.6", b"unknown"])
def test_proxy_when_it_speaks_for_another_host_then_refused(host: bytes) -> None:
    with pytest.raises(AuthError, match="for whom a proxy asks"):
        keeper().admit({b"x-forwarded-for": host}, HERE)


def test_proxy_when_it_speaks_for_this_host_then_admitted() -> None:
    keeper().admit({b"x-forwarded-for": b"127.0.0.1, ::1"}, HERE)


@pytest.mark.parametrize("settings", [{"allow_remote": True}, {"tokens": True}])
def test_proxy_when_other_hosts_may_call_then_admitted(settings: dict[str, bool]) -> None:
    made = token(Role.WORK)
    tokens = listed(made) if settings.pop("tokens", False) else None
    keeper(tokens, **settings).admit({b"x-forwarded-for": b"8.8.8.8", **bearer(made)}, HERE)


def test_name_when_it_may_be_a_strangers_then_refused_while_no_token_is_configured() -> None:
    headers = {b"host": b"evil.example:8080"}
    with pytest.raises(AuthError, match=r"evil\.example:8080"):
        keeper().admit(headers, HERE)
    made = token(Role.WORK)
    keeper(listed(made)).admit({**headers, **bearer(made)}, HERE)
    keeper(allow_remote=True).admit(headers, HERE)


@pytest.mark.parametrize("role", Role)
def test_role_when_the_token_has_it_or_is_the_admins_then_it_may(role: Role) -> None:
    for made in (token(role), token(Role.ADMIN), token(*Role)):
        keeper(listed(made)).admit(bearer(made), HERE).check(role)


@pytest.mark.parametrize("role", Role)
def test_role_when_the_token_has_only_others_then_403_naming_both(role: Role) -> None:
    made = token(*(set(Role) - {role, Role.ADMIN}))
    with pytest.raises(AuthError, match=f"web lacks the role {role}") as caught:
        keeper(listed(made)).admit(bearer(made), HERE).check(role)
    assert caught.value.status is None
    assert made.token not in caught.value.message


def test_role_when_none_is_asked_for_then_any_token_will_do() -> None:
    made = token(Role.WORK)
    keeper(listed(made)).admit(bearer(made), HERE).check(None)


def good_forms(made: NewToken) -> list[str]:
    forms = ("Bearer {}", "bearer {}", "BEARER {}", "Bearer   {}", "  Bearer {}  ")
    return [form.format(made.token) for form in forms]


def test_header_when_written_otherwise_then_the_same() -> None:
    made = token(Role.WORK)
    for form in good_forms(made):
        headers = {b"authorization": form.encode()}
        assert keeper(listed(made)).admit(headers, HERE).name == "web"


BAD_FORMS = {
    "nothing": "",
    "no token": "Bearer",
    "no token but space": "Bearer ",
    "no scheme": "{token}",
    "another scheme": "Basic {token}",
    "a longer scheme": "Bearers {token}",
    "two at once": "Bearer {token}, Bearer {token}",
    "something behind it": "Bearer {token} x",
    "upper-case digits": "Bearer {upper}",
    "one digit more": "Bearer {token}0",
    "one digit less": "Bearer {short}",
    "quoted": 'Bearer "{token}"',
    "not ASCII": "Bearer {token}é",
    "very long": "Bearer {long}",
    "a line feed": "Bearer {token}\n{token}",
    "NUL": "Bearer {token}\0",
}


@pytest.mark.parametrize("form", BAD_FORMS)
def test_header_when_it_holds_no_token_then_401_without_repeating_it(form: str) -> None:
    made = token(Role.WORK)
    text = BAD_FORMS[form].format(
        token=made.token, upper=made.token.upper(), short=made.token[:-1], long=made.token * 700
    )
    with pytest.raises(AuthError) as caught:
        keeper(listed(made)).admit({b"authorization": text.encode("latin-1")}, HERE)
    assert caught.value.status == 401
    assert made.token[4:] not in caught.value.message


def test_token_when_missing_then_401() -> None:
    assert status_of(keeper(listed(token(Role.WORK))), {}) == 401


def test_token_when_its_id_is_unknown_then_401() -> None:
    assert status_of(keeper(listed(token(Role.WORK))), bearer(token(Role.WORK))) == 401


def test_token_when_only_its_id_is_known_then_401() -> None:
    made = token(Role.WORK)
    forged = made._replace(token=made.token[:17] + made.token[:16:-1])
    assert status_of(keeper(listed(made)), bearer(forged)) == 401


def test_token_when_the_list_is_empty_then_401_for_this_host_as_well() -> None:
    assert status_of(keeper(listed()), {}) == 401


def test_token_when_revoked_then_what_was_admitted_ends_with_401() -> None:
    made, other = token(Role.WORK), token(Role.WORK, name="other")
    tokens = listed(made, other)
    principal = keeper(tokens).admit(bearer(made), HERE)
    tokens.replace({other.entry.token_id.encode(): other.entry})
    assert not principal.current()
    with pytest.raises(AuthError, match="web was revoked") as caught:
        principal.check(Role.WORK)
    assert caught.value.status == 401
    assert status_of(keeper(tokens), bearer(made)) == 401


def test_token_when_another_takes_its_id_then_it_is_revoked() -> None:
    made, other = token(Role.WORK), token(Role.WORK)
    tokens = listed(made)
    principal = keeper(tokens).admit(bearer(made), HERE)
    tokens.replace({made.entry.token_id.encode(): other.entry})
    assert not principal.current()


def test_token_when_its_roles_change_then_the_next_request_is_held_to_them() -> None:
    made = token(Role.WORK)
    tokens = listed(made)
    principal = keeper(tokens).admit(bearer(made), HERE)
    changed = made.entry._replace(roles=frozenset({Role.OBSERVE}))
    tokens.replace({changed.token_id.encode(): changed})
    principal.check(Role.OBSERVE)
    with pytest.raises(AuthError, match="lacks the role work"):
        principal.check(Role.WORK)


def test_page_when_foreign_then_refused_even_with_a_token() -> None:
    made = token(*Role)
    headers = {b"origin": b"https://evil.example", **bearer(made)}
    assert status_of(keeper(listed(made)), headers) is None


@pytest.mark.parametrize("with_tokens", [False, True])
def test_preflight_when_tokens_are_configured_then_pages_may_send_one(
    with_tokens: bool,
) -> None:
    asked = {b"origin": b"http://localhost:8080", b"access-control-request-method": b"POST"}
    answer = keeper(listed() if with_tokens else None).preflight(asked)
    assert answer is not None
    allowed = dict(answer)[b"access-control-allow-headers"].split(b", ")
    assert (b"Authorization" in allowed) == with_tokens


@given(st.dictionaries(st.sampled_from(NAMES), st.binary(max_size=200)), st.booleans())
def test_headers_when_of_any_bytes_then_admitted_or_refused_but_nothing_else(
    headers: dict[bytes, bytes], locked: bool
) -> None:
    door = keeper(listed(token(Role.WORK)) if locked else None)
    try:
        principal = door.admit(headers, HERE)
    except AuthError:
        return
    assert not locked
    assert principal.name == ANONYMOUS


@given(st.binary(max_size=300))
def test_token_when_of_any_bytes_then_never_known(shown: bytes) -> None:
    assert listed(token(Role.WORK)).find(shown) is None
