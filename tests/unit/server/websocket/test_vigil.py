"""Clients that are there, silent, gone or slow, by a clock of the test's own."""

from __future__ import annotations

import pytest

from osqueue.config import MIB, ServerSettings, WebSocketSettings
from osqueue.server.websocket.vigil import Finding, Vigil

SETTINGS = ServerSettings(request_s_max=60, ws=WebSocketSettings(ping_s=20, pong_s=10))


@pytest.fixture
def vigil() -> Vigil:
    vigil = Vigil(SETTINGS)
    assert vigil.look(100, reading=True, received=0) is Finding.FINE
    return vigil


def looks(vigil: Vigil, *times_s: float, reading: bool = True, received: int = 0) -> list[Finding]:
    return [vigil.look(now_s, reading=reading, received=received) for now_s in times_s]


def test_client_when_silent_then_pinged_once_and_gone_after_as_long_again(vigil: Vigil) -> None:
    assert looks(vigil, 119, 120, 121, 129, 130) == [
        Finding.FINE,
        Finding.PING,
        Finding.FINE,
        Finding.FINE,
        Finding.GONE,
    ]


def test_client_when_it_answers_a_ping_then_it_has_all_the_time_again(vigil: Vigil) -> None:
    assert looks(vigil, 120) == [Finding.PING]
    vigil.heard()
    assert looks(vigil, 129, 148, 149) == [Finding.FINE, Finding.FINE, Finding.PING]


def test_client_when_it_is_not_listened_to_then_its_silence_means_nothing(vigil: Vigil) -> None:
    assert looks(vigil, 120, 200, 300, reading=False) == [Finding.FINE] * 3
    assert looks(vigil, 301, 319, 320) == [Finding.FINE, Finding.FINE, Finding.PING]


def test_message_when_not_all_there_in_time_then_overdue(vigil: Vigil) -> None:
    for now_s in range(101, 161, 10):
        vigil.heard()
        assert looks(vigil, now_s, received=5) == [Finding.FINE]
    vigil.heard()
    assert looks(vigil, 161, received=5) == [Finding.OVERDUE]


def test_message_when_large_then_it_has_as_long_again_for_each_mib(vigil: Vigil) -> None:
    assert looks(vigil, 101, received=1) == [Finding.FINE]
    vigil.heard()
    assert looks(vigil, 220, received=MIB) == [Finding.FINE]
    vigil.heard()
    assert looks(vigil, 221, received=MIB) == [Finding.OVERDUE]


def test_messages_when_one_is_always_on_its_way_then_each_has_its_own_time(vigil: Vigil) -> None:
    for now_s in range(101, 1_000, 50):
        vigil.heard()
        vigil.arrived()
        assert looks(vigil, now_s, received=5) == [Finding.FINE]


def test_message_when_reading_was_paused_then_its_time_begins_anew(vigil: Vigil) -> None:
    assert looks(vigil, 101, received=5) == [Finding.FINE]
    assert looks(vigil, 150, reading=False, received=5) == [Finding.FINE]
    vigil.heard()
    assert looks(vigil, 170, received=5) == [Finding.FINE]
