from __future__ import annotations

from osqueue.wire.leaders import called, embedded_address, is_dialled


def test_embedded_address_when_looked_at_then_nobody_dials_it() -> None:
    address = embedded_address("web-1", 4711)
    assert (is_dialled(address), is_dialled("web-1:8080"), is_dialled("[::1]:80")) == (
        False,
        True,
        True,
    )


def test_leader_when_called_then_a_person_finds_the_process() -> None:
    assert called(embedded_address("web-1.example.org", 4711)) == (
        "the embedded queue of process 4711 on web-1.example.org"
    )
    assert called("web-1:8080") == "web-1:8080"


def test_embedded_address_of_a_host_with_a_long_name_is_bounded() -> None:
    assert len(embedded_address("h" * 10_000, 1)) < 256
