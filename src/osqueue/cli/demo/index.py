"""The demo's work: what is in one Python source. Pure."""

from __future__ import annotations

import ast
import io
import keyword
import re
import tokenize
from collections import Counter
from typing import Final

import msgspec

__all__ = ["FileIndex", "Function", "UnreadableSourceError", "index_source"]

_WORD: Final = re.compile(r"[^\W\d]\w+")
_UNREADABLE: Final = (SyntaxError, UnicodeError, ValueError, RecursionError, MemoryError)
_Definition = ast.FunctionDef | ast.AsyncFunctionDef


class UnreadableSourceError(Exception):
    """No Python source, as some that test the parser. The message says why."""


class Function(msgspec.Struct, frozen=True):
    """A function and how long it is."""

    name: str
    line: int
    lines: int


class FileIndex(msgspec.Struct, frozen=True):
    """What was found. ``words`` of two letters and more, without Python's own keywords."""

    lines: int
    words: dict[str, int]
    functions: int
    classes: int
    longest: Function | None


def index_source(source: bytes) -> FileIndex:
    """Read a source. Raises `UnreadableSourceError`."""
    try:
        text, tree = _decode(source), ast.parse(source)
    except _UNREADABLE as error:
        reason = error.msg if isinstance(error, SyntaxError) else str(error)
        raise UnreadableSourceError(f"{type(error).__name__}: {reason}") from error
    nodes = list(ast.walk(tree))
    functions = [node for node in nodes if isinstance(node, _Definition)]
    return FileIndex(
        lines=len(text.splitlines()),
        words=_count_words(text),
        functions=len(functions),
        classes=sum(isinstance(node, ast.ClassDef) for node in nodes),
        longest=max(map(_function, functions), key=lambda each: each.lines, default=None),
    )


def _decode(source: bytes) -> str:
    encoding, _ = tokenize.detect_encoding(io.BytesIO(source).readline)
    return source.decode(encoding)


def _count_words(text: str) -> dict[str, int]:
    counts = Counter(_WORD.findall(text))
    return {word: count for word, count in counts.items() if not keyword.iskeyword(word)}


def _function(node: _Definition) -> Function:
    return Function(node.name, node.lineno, (node.end_lineno or node.lineno) - node.lineno + 1)
