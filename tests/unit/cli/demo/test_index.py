"""What is found in a source."""

from __future__ import annotations

import pytest

from osqueue.cli.demo.index import FileIndex, Function, UnreadableSourceError, index_source

SOURCE = b'''\
"""Two words, word."""
import os

class Thing:
    def short(self): return os

    async def long(self):
        if self:
            return 1

def x():
    class Inner: pass
'''


def test_source_when_indexed_then_words_definitions_and_the_longest_function() -> None:
    assert index_source(SOURCE) == FileIndex(
        lines=12,
        words={
            "Two": 1,
            "words": 1,
            "word": 1,
            "os": 2,
            "Thing": 1,
            "short": 1,
            "self": 3,
            "long": 1,
            "Inner": 1,
        },
        functions=3,
        classes=2,
        longest=Function("long", 7, 3),
    )


def test_source_when_empty_then_nothing_is_found() -> None:
    assert index_source(b"") == FileIndex(0, {}, 0, 0, None)


def test_source_when_in_another_encoding_then_read_in_it() -> None:
    source = "# coding: latin-1\nname = 'Käse'\n".encode("latin-1")
    assert index_source(source).words == {"coding": 1, "latin": 1, "name": 1, "Käse": 1}


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (b"print 1", "SyntaxError: Missing parentheses"),
        (b"# coding: klingon", "SyntaxError: unknown encoding"),
        (b"x = 1\0", "source code string cannot contain null bytes"),
        (b"x = '\xff'", "SyntaxError: "),
    ],
)
def test_source_when_it_is_none_then_the_reason(source: bytes, reason: str) -> None:
    with pytest.raises(UnreadableSourceError, match=reason):
        index_source(source)
