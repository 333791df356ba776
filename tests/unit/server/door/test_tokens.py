"""Tokens and the list of those that are known."""

from __future__ import annotations

import hmac
from hashlib import sha256
from typing import Any

import pytest

from osqueue.clock import SeededEntropy, SystemEntropy
from osqueue.errors import ConfigError
from osqueue.server.door import tokens
from osqueue.server.door.tokens import TokenList, new_token, parse_entries, token_line
from osqueue.wire.roles import Role

MADE = new_token("web", frozenset({Role.WORK, Role.PRODUCE}), SeededEntropy(1))
LINE = token_line(MADE.entry)
ID, HASH = LINE.split()[2:]


def test_token_when_made_then_its_secret_has_256_bits_and_its_line_knows_it() -> None:
    made = new_token("web", frozenset({Role.WORK}), SystemEntropy())
    prefix, token_id, secret = made.token.split("_")
    assert (prefix, token_id, len(secret)) == ("osq", made.entry.token_id, 64)
    assert made.entry.digest == sha256(made.token.encode()).digest()
    assert secret not in token_line(made.entry)


def test_token_when_two_are_made_then_they_share_nothing() -> None:
    one, other = (new_token("web", frozenset(), SystemEntropy()) for _ in range(2))
    assert one.entry.token_id != other.entry.token_id
    assert one.token[-64:] != other.token[-64:]


def test_line_when_read_again_then_the_same_entry() -> None:
    assert list(parse_entries(LINE, "x").values()) == [MADE.entry]
    assert LINE.startswith("web  produce,work  ")


@pytest.mark.parametrize(
    "text",
    [
        f"{LINE}",
        f"\n# a comment\n  {LINE}  # another\n\n",
        LINE.replace("  ", "\t"),
        f"{LINE}\r\n",
        f"\ufeff# written on Windows\n{LINE}",
    ],
)
def test_list_when_laid_out_otherwise_then_the_same(text: str) -> None:
    assert list(parse_entries(text, "x").values()) == [MADE.entry]


@pytest.mark.parametrize("text", ["", "\n", "# nobody\n"])
def test_list_when_it_names_nobody_then_it_is_empty(text: str) -> None:
    assert not parse_entries(text, "x")


BAD_LINES = {
    "a word too few": f"web work {HASH}",
    "a word too many": f"{LINE} more",
    "no such role": f"web work,boss {ID} {HASH}",
    "an empty role": f"web work, {ID} {HASH}",
    "roles between spaces": f"web work, produce {ID} {HASH}",
    "a role in capitals": f"web Work {ID} {HASH}",
    "a name with a slash": f"a/b work {ID} {HASH}",
    "a long name": f"{'a' * 65} work {ID} {HASH}",
    "a short id": f"web work {ID[1:]} {HASH}",
    "another hash": f"web work {ID} {HASH.replace('sha256', 'md5')}",
    "a short hash": f"web work {ID} {HASH[:-1]}",
    "a plain secret for a hash": f"web work {ID} {MADE.token[-64:]}",
    "the token itself": MADE.token,
    "the token for a hash": f"web work {ID} {MADE.token}",
    "the token for a role": f"web {MADE.token[4:30]} {ID} {HASH}",
    "the same id twice": LINE,
}


@pytest.mark.parametrize("case", BAD_LINES)
def test_list_when_a_line_is_bad_then_its_number_is_named_and_no_secret(case: str) -> None:
    with pytest.raises(ConfigError, match=r"^the list, line 3: ") as caught:
        parse_entries(f"{LINE}\n\n{BAD_LINES[case]}\n", "the list")
    for secret in (MADE.token[-64:-40], HASH[7:20], MADE.token[4:30]):
        assert secret not in caught.value.message


def test_list_when_a_role_is_misspelt_then_it_is_shown_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match="'boss'; the roles are observe, produce, work, admin"):
        parse_entries(BAD_LINES["no such role"], "x")


@pytest.mark.parametrize("name", ["", "a b", "-a", "a#b", "ä", "a" * 65])
def test_name_when_it_cannot_stand_in_a_line_then_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="is no name for a token"):
        new_token(name, frozenset({Role.WORK}), SeededEntropy(1))


@pytest.mark.parametrize("known", [True, False])
def test_find_when_the_id_is_unknown_then_a_comparison_is_made_all_the_same(
    known: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[tuple[int, int]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((len(one), len(other)))
        return hmac.compare_digest(one, other)

    monkeypatch.setattr(tokens, "compare_digest", compare)
    entries: dict[bytes, Any] = {MADE.entry.token_id.encode(): MADE.entry} if known else {}
    assert TokenList(entries).find(MADE.token.encode()) == (MADE.entry if known else None)
    assert compared == [(32, 32)]


def test_role_when_the_admin_asks_then_all_are_his() -> None:
    admin = MADE.entry._replace(roles=frozenset({Role.ADMIN}))
    assert all(admin.has(role) for role in (None, *Role))


def test_role_when_others_ask_then_only_their_own() -> None:
    assert [role for role in Role if MADE.entry.has(role)] == [Role.PRODUCE, Role.WORK]
