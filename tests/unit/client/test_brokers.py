from __future__ import annotations

import pytest

from osqueue.client.brokers import LEARNT_MAX, Brokers

A, B, C = "http://a:1", "http://b:1", "http://c:1"


def test_first_of_several_is_the_first_configured_and_doubles_are_one() -> None:
    brokers = Brokers([A, B, A])

    assert brokers.first == A
    assert brokers.known == brokers.configured == (A, B)
    assert not brokers.lost


def test_first_when_none_is_configured_then_none_and_lost() -> None:
    brokers = Brokers([])

    assert brokers.first is None
    assert brokers.lost


def test_failed_broker_is_put_behind_the_others() -> None:
    brokers = Brokers([A, B, C])

    brokers.failed(A)
    assert (brokers.known, brokers.lost, brokers.tried) == ((B, C, A), True, (A,))
    brokers.failed(B)
    assert brokers.known == (C, A, B)


def test_failed_broker_that_was_not_the_first_does_not_lose_the_leader() -> None:
    brokers = Brokers([A, B, C])

    brokers.failed(B)

    assert (brokers.known, brokers.lost) == ((A, C, B), False)


def test_answered_broker_is_remembered_as_the_leader() -> None:
    brokers = Brokers([A, B])
    brokers.failed(A)

    assert brokers.answered(B, 7)
    assert (brokers.first, brokers.lost, brokers.tried) == (B, False, ())


def test_answered_again_from_the_same_epoch_is_no_news() -> None:
    brokers = Brokers([A, B])
    brokers.answered(A, 7)

    assert not brokers.answered(A, 7)
    assert not brokers.answered(A, None)


def test_answered_from_the_same_epoch_at_another_address_moves_nothing() -> None:
    brokers = Brokers([A, B])
    brokers.answered(A, 7)

    assert not brokers.answered(B, 7)
    assert brokers.first == A


def test_answered_from_a_later_epoch_moves_at_once() -> None:
    brokers = Brokers([A, B])
    brokers.answered(A, 7)

    assert brokers.answered(B, 8)
    assert brokers.first == B


def test_answered_from_an_older_epoch_counts_as_failed() -> None:
    brokers = Brokers([A, B])
    brokers.answered(A, 8)

    assert not brokers.answered(A, 7)
    assert (brokers.first, brokers.lost) == (B, True)


def test_answered_without_an_epoch_by_another_than_the_leader_says_nothing() -> None:
    brokers = Brokers([A, B])
    brokers.answered(A, 7)

    assert not brokers.answered(B, None)
    assert brokers.first == A


def test_answered_without_an_epoch_while_lost_finds_the_leader() -> None:
    brokers = Brokers([A, B])
    brokers.failed(A)

    brokers.answered(B, None)

    assert (brokers.first, brokers.lost) == (B, False)


def test_redirected_to_a_leader_asks_that_one_next_with_the_scheme_of_who_named_it() -> None:
    brokers = Brokers(["https://a:1", B])

    assert brokers.redirected("https://a:1", "10.0.0.5:8080")
    assert brokers.known == ("https://10.0.0.5:8080", B, "https://a:1")
    assert not brokers.lost


def test_redirected_to_a_known_address_keeps_its_own_scheme() -> None:
    brokers = Brokers([A, "https://queue"])

    brokers.redirected(A, "queue:443")

    assert brokers.known == ("https://queue", A)


@pytest.mark.parametrize("leader", [None, "a:1", "", "no address/at all"])
def test_redirected_to_nobody_counts_as_failed(leader: str | None) -> None:
    brokers = Brokers([A, B])

    assert not brokers.redirected(A, leader)
    assert (brokers.known, brokers.lost) == ((B, A), True)


@pytest.mark.parametrize(("epoch", "news"), [(None, True), (7, False), (8, True)])
def test_answered_after_a_redirect_is_news_unless_it_is_the_leader_of_before(
    epoch: int | None, *, news: bool
) -> None:
    brokers = Brokers([A])
    brokers.answered(A, 7)
    brokers.redirected(A, "b:1")

    assert brokers.answered(B, epoch) is news


def test_failed_after_a_redirect_goes_back_to_the_others() -> None:
    brokers = Brokers([A])
    brokers.redirected(A, "b:1")

    brokers.failed(B)

    assert (brokers.first, brokers.lost, brokers.tried) == (A, True, (A, B))
    assert not brokers.answered(B, None)


def test_discovered_leader_is_dialled_by_http_and_is_news_by_its_epoch() -> None:
    brokers = Brokers([])

    assert brokers.discovered("a:1", 7)
    assert (brokers.first, brokers.lost) == (A, False)
    assert not brokers.discovered("a:1", 7)
    assert brokers.discovered("b:1", 8)
    assert brokers.known == (B, A)


def test_discovered_leader_of_an_older_implementation_is_news_once_it_answers() -> None:
    brokers = Brokers([A])

    assert not brokers.discovered("b:1", None)
    assert brokers.answered(B, None)


def test_discovered_later_epoch_makes_an_answer_of_the_one_before_old() -> None:
    brokers = Brokers([A])
    brokers.answered(A, 7)
    brokers.discovered("b:1", 8)

    assert not brokers.answered(A, 7)
    assert brokers.first == B


def test_discovered_address_that_cannot_be_dialled_changes_nothing() -> None:
    brokers = Brokers([A])

    assert not brokers.discovered("not/an address", 7)
    assert brokers.known == (A,)


def test_known_brokers_are_bounded_and_the_configured_ones_stay() -> None:
    brokers = Brokers([A, B])

    for number in range(50):
        assert brokers.redirected(brokers.first or "", f"learnt-{number}:1")

    assert len(brokers.known) == 2 + LEARNT_MAX
    assert {A, B} <= set(brokers.known)
    assert brokers.first == "http://learnt-49:1"
    assert set(brokers.tried) <= set(brokers.known)


def test_forget_epoch_takes_an_older_answer_again() -> None:
    brokers = Brokers([A])
    brokers.answered(A, 8)

    brokers.forget_epoch()

    assert brokers.answered(A, 7)


def test_unreached_broker_is_silent_until_it_is_heard() -> None:
    brokers = Brokers([A, B])

    brokers.unreached(A)
    assert brokers.is_silent(A)
    assert brokers.first == B
    brokers.heard(A)
    assert not brokers.is_silent(A)


def test_leader_that_is_learnt_when_any_broker_is_secure_is_dialled_by_tls() -> None:
    for brokers in (Brokers([A, "https://b:1"]), Brokers([], secure=True)):
        brokers.discovered("c:1", epoch=3)
        assert brokers.first == "https://c:1"
        brokers.redirected("https://c:1", "d:1")
        assert brokers.first == "https://d:1"


def test_leader_named_by_a_grpc_port_is_dialled_by_http() -> None:
    brokers = Brokers(["grpc://a:9090"])
    brokers.redirected("grpc://a:9090", "c:8080")
    assert brokers.first == "http://c:8080"
    secure = Brokers(["grpcs://a:9090"])
    secure.redirected("grpcs://a:9090", "c:8080")
    assert secure.first == "https://c:8080"
