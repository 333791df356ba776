from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from osqueue.config import SEGMENT_SLOTS
from osqueue.model.segments import SegmentedArray


@dataclass(eq=False)
class Item:
    name: str
    encoded: bytes = b""
    stale: bool = True
    seq: int = -1
    encodings: int = 0


def encode(item: Item) -> bytes:
    item.encodings += 1
    item.encoded, item.stale = item.name.encode(), False
    return item.encoded


def filled(count: int) -> tuple[SegmentedArray[Item], list[Item]]:
    array = SegmentedArray(encode)
    items = [Item(f"i{number}") for number in range(count)]
    for item in items:
        array.append(item)
    return array, items


def joined(array: SegmentedArray[Item]) -> bytes:
    return b",".join(array.pieces())


def wanted(items: list[Item]) -> bytes:
    return b",".join(item.name.encode() for item in items)


def test_array_when_empty_then_it_has_nothing() -> None:
    array, _ = filled(0)
    assert len(array) == 0
    assert list(array) == []
    assert array.pieces() == []
    assert array.oldest() is array.get(0) is None


def test_append_when_items_arrive_then_they_are_numbered_in_order() -> None:
    array, items = filled(3 * SEGMENT_SLOTS + 1)
    assert [item.seq for item in items] == list(range(len(items)))
    assert list(array) == items
    assert len(array) == len(items)
    assert joined(array) == wanted(items)


def test_get_when_asked_for_numbers_then_live_items_only() -> None:
    array, items = filled(SEGMENT_SLOTS + 2)
    array.remove(items[1])
    assert array.get(0) is items[0]
    assert array.get(SEGMENT_SLOTS + 1) is items[-1]
    assert array.get(1) is array.get(SEGMENT_SLOTS + 2) is array.get(9 * SEGMENT_SLOTS) is None


def test_pieces_when_one_item_changes_then_only_it_is_encoded_again() -> None:
    array, items = filled(2 * SEGMENT_SLOTS)
    joined(array)
    items[5].name = "other"
    array.touch(items[5])
    assert joined(array) == wanted(items)
    assert [item.name for item in items if item.encodings == 2] == ["other"]


def test_pieces_when_nothing_changed_then_the_same_pieces() -> None:
    array, _ = filled(2 * SEGMENT_SLOTS)
    before = array.pieces()
    assert all(one is other for one, other in zip(before, array.pieces(), strict=True))


def test_append_when_pieces_were_made_then_the_new_item_is_among_them() -> None:
    array, items = filled(3)
    joined(array)
    items.append(Item("late"))
    array.append(items[-1])
    assert joined(array) == wanted(items)


def test_remove_when_a_segment_is_emptied_then_no_empty_piece_stays() -> None:
    array, items = filled(3 * SEGMENT_SLOTS)
    for item in items[SEGMENT_SLOTS : 2 * SEGMENT_SLOTS]:
        array.remove(item)
    assert len(array.pieces()) == 2
    assert joined(array) == wanted(items[:SEGMENT_SLOTS] + items[2 * SEGMENT_SLOTS :])


def test_append_when_the_last_segment_was_emptied_then_numbers_go_on() -> None:
    array, items = filled(3)
    for item in items:
        array.remove(item)
    late = Item("late")
    array.append(late)
    assert late.seq == 3
    assert array.get(3) is array.oldest() is late
    assert list(array) == [late]
    assert joined(array) == b"late"


def test_extend_when_items_fill_several_segments_then_as_one_by_one() -> None:
    one_by_one, items = filled(2 * SEGMENT_SLOTS + 7)
    array: SegmentedArray[Item] = SegmentedArray(encode)
    array.append(items[0])
    array.extend(items[1:5])
    array.extend([])
    array.extend(items[5:])
    assert [item.seq for item in items] == list(range(len(items)))
    assert list(array) == items
    assert len(array) == len(items)
    assert array.pieces() == one_by_one.pieces()


def test_extend_when_the_last_segment_was_emptied_then_numbers_go_on() -> None:
    array, items = filled(3)
    for item in items:
        array.remove(item)
    late = [Item(f"late{number}") for number in range(SEGMENT_SLOTS)]
    array.extend(late)
    assert [item.seq for item in late] == list(range(3, 3 + SEGMENT_SLOTS))
    assert joined(array) == wanted(late)


def test_oldest_when_items_leave_then_the_next_one() -> None:
    array, items = filled(3 * SEGMENT_SLOTS)
    for item in items[1:-1]:
        array.remove(item)
    assert array.oldest() is items[0]
    array.remove(items[0])
    assert array.oldest() is items[-1]
    array.remove(items[-1])
    assert array.oldest() is None


def test_after_when_given_a_number_then_what_stands_behind_it() -> None:
    array, items = filled(2 * SEGMENT_SLOTS + 3)
    array.remove(items[7])
    for place in (-1, 0, 6, 7, SEGMENT_SLOTS - 1, SEGMENT_SLOTS, 2 * SEGMENT_SLOTS + 2, 9_999):
        behind = [item for item in items if item.seq > place and item.seq != 7]
        assert list(array.after(place)) == behind


@given(st.lists(st.tuples(st.sampled_from("aart"), st.integers(0, 200)), max_size=200))
def test_array_when_changed_at_random_then_it_equals_a_list(changes: list[tuple[str, int]]) -> None:
    array, items = filled(0)
    for number, (change, place) in enumerate(changes):
        if change == "a" or not items:
            items.append(Item(f"i{number}"))
            array.append(items[-1])
        elif change == "r":
            array.remove(items.pop(place % len(items)))
        else:
            items[place % len(items)].name += "x"
            array.touch(items[place % len(items)])
        assert array.oldest() is (items[0] if items else None)
        if place % 4 == 0:
            assert joined(array) == wanted(items)
    assert list(array) == items
    assert joined(array) == wanted(items)
