from __future__ import annotations

import msgspec

from osqueue.server.encode_once import encode_once
from osqueue.wire.messages import Update


def test_encode_when_it_is_the_same_object_then_it_is_encoded_once_in_each_way() -> None:
    encoded: list[Update] = []

    def encode(update: Update) -> bytes:
        encoded.append(update)
        return b"%d" % len(encoded)

    one, other = Update(commit="1-1"), Update(commit="1-1")
    texts = [encode_once(each, "json", encode) for each in (one, other, one, other)]
    assert texts == [b"1", b"2", b"1", b"2"]
    assert encode_once(one, "proto", encode) == b"3"


def test_update_when_its_encodings_are_known_then_it_is_the_same_to_all_others() -> None:
    update = Update(commit="1-1")
    text = encode_once(update, "json", msgspec.json.encode)
    assert msgspec.json.encode(update) == text == b'{"commit":"1-1"}'
    assert update == Update(commit="1-1")
