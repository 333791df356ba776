from __future__ import annotations

from osqueue.server.encode_once import KEPT, EncodeOnce


class Thing:
    """Equal to any other of its kind: only which one it is counts."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Thing)

    def __hash__(self) -> int:
        return 0


def test_encode_when_it_is_the_same_object_then_it_is_encoded_once() -> None:
    encoded: list[Thing] = []

    def encode(thing: Thing) -> bytes:
        encoded.append(thing)
        return b"%d" % len(encoded)

    once = EncodeOnce(encode)
    one, other = Thing(), Thing()
    assert [once(one), once(other), once(one), once(other)] == [b"1", b"2", b"1", b"2"]


def test_encode_when_there_are_many_objects_then_only_some_are_kept() -> None:
    once: EncodeOnce[list[int]] = EncodeOnce(lambda value: b"%d" % value[0])
    things = [[number] for number in range(3 * KEPT)]
    assert [once(thing) for thing in things] == [b"%d" % number for number in range(3 * KEPT)]
    assert len(once._known) == KEPT
