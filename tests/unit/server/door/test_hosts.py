"""Connections by host."""

from __future__ import annotations

import pytest

from osqueue.server.door.hosts import HostConnections


def test_host_when_it_has_as_many_as_it_may_then_the_next_is_too_many_and_others_are_not() -> None:
    hosts = HostConnections(2)
    assert [hosts.enter("10.0.0.6") for _ in range(3)] == [True, True, False]
    assert hosts.enter("10.0.0.7")
    hosts.leave("10.0.0.6")
    hosts.leave("10.0.0.6")
    assert hosts.enter("10.0.0.6")


def test_hosts_when_all_have_left_then_none_is_remembered() -> None:
    hosts = HostConnections(1)
    for host in ("10.0.0.6", "::1", None):
        for _ in range(3):
            hosts.enter(host)
        for _ in range(3):
            hosts.leave(host)
    assert not hosts._open


@pytest.mark.parametrize("host", ["2001:db8::1", "2001:db8::ffff"])
def test_host_when_in_one_network_of_ipv6_then_counted_together(host: str) -> None:
    hosts = HostConnections(1)
    assert hosts.enter("2001:db8::2")
    assert not hosts.enter(host)


def test_hosts_when_there_is_no_limit_then_nothing_is_remembered() -> None:
    hosts = HostConnections(0)
    assert all(hosts.enter("10.0.0.6") for _ in range(100))
    assert not hosts._open
    hosts.leave("10.0.0.6")
