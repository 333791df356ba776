"""`typing.TypedDict` on Python 3.11, where pydantic takes only that of ``typing_extensions``.

The older one does not tell which of its fields are required where annotations are strings;
`typing.get_type_hints` does, so the same can be said anew.
"""

from __future__ import annotations

import sys
import typing
from types import GenericAlias, UnionType
from typing import (
    Annotated,
    Any,
    Final,
    NotRequired,
    Required,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import typing_extensions

__all__ = ["modern"]

_WRAPS: Final = (Required, NotRequired)


def modern(wanted: Any) -> Any:
    """The same type, with each `typing.TypedDict` in it as pydantic takes it.

    One that holds itself is left as it is; pydantic then says what to do.
    """
    return wanted if sys.version_info >= (3, 12) else _modern(wanted, ())


def _modern(wanted: Any, inside: tuple[Any, ...]) -> Any:
    if wanted in inside:
        return wanted
    if typing.is_typeddict(wanted) and type(wanted).__module__ == "typing":
        return _said_anew(wanted, (*inside, wanted))
    arguments = get_args(wanted)
    renewed = tuple(_modern(each, inside) for each in arguments)
    return wanted if renewed == arguments else _with_arguments(wanted, renewed)


def _with_arguments(wanted: Any, arguments: tuple[Any, ...]) -> Any:
    if isinstance(wanted, UnionType):
        return Union[arguments]  # noqa: UP007 - they are known only now
    if isinstance(wanted, GenericAlias) or get_origin(wanted) is Annotated:
        generic: Any = get_origin(wanted)
        return generic[arguments]
    return wanted.copy_with(arguments)


def _said_anew(wanted: Any, inside: tuple[Any, ...]) -> Any:
    fields = {}
    for name, hint in get_type_hints(wanted, include_extras=True).items():
        said = get_origin(hint)
        by_class = Required if name in wanted.__required_keys__ else NotRequired
        wrap, bare = (said, get_args(hint)[0]) if said in _WRAPS else (by_class, hint)
        fields[name] = wrap[_modern(bare, inside)]
    make: Any = typing_extensions.TypedDict  # type checkers know it as a form of class only
    anew = make(wanted.__name__, fields)
    anew.__module__, anew.__doc__ = wanted.__module__, wanted.__doc__
    if hasattr(wanted, "__pydantic_config__"):
        anew.__pydantic_config__ = wanted.__pydantic_config__
    return anew
