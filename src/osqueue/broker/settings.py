"""The settings of a broker as they hold, for people: what each is called, where it is said, and why
it is as it is.

The names and values are those of `osqueue.config`, and the reasons what stands beside them there.
Laws: no secret is told, nor what is called like one; of a store, only what its URL may show.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import UNSET, Raw

from osqueue import config
from osqueue.config import BrokerSettings
from osqueue.wire.messages import Setting

__all__ = ["Effective", "flattened"]

HIDDEN: Final = "(hidden)"
"""What is told of a secret that is set."""

_NO_VARIABLES: Final[Mapping[str, str]] = MappingProxyType({})
_SECRETS: Final = frozenset({"credential", "credentials", "key", "password", "secret", "tokens"})
"""Words in the names of what may be secret."""

_PATHS: Final = frozenset({"access.tokens_file", "tls.key"})
"""Names with such a word that are only paths."""

_CREDENTIALS: Final = re.compile(r"//[^/?#]*@")
_encode = msgspec.json.Encoder(enc_hook=str).encode


class Placed(NamedTuple):
    """One setting: ``kind`` is the class of its group, and ``field`` its name there."""

    name: str
    value: Any
    kind: str
    field: str


class Effective:
    """The settings of one broker.

    ``variables``: the environment variable that sets each, by name.
    """

    def __init__(
        self,
        settings: BrokerSettings,
        *,
        storage: str,
        address: str,
        variables: Mapping[str, str] = _NO_VARIABLES,
    ) -> None:
        self._settings = settings
        self._place = {"storage": _CREDENTIALS.sub("//", storage), "advertise": address}
        self._variables = variables

    def all(self) -> list[Setting]:
        """All of them. Reads a source file, and so takes some milliseconds."""
        reasons = _reasons()
        about_itself = [self._setting(name, value) for name, value in self._place.items()]
        return about_itself + [
            self._setting(each.name, each.value, reasons.get(each.kind, {}).get(each.field, ""))
            for each in flattened(self._settings)
        ]

    def _setting(self, name: str, value: Any, reason: str = "") -> Setting:
        shown = HIDDEN if value and _is_secret(name) else value
        return Setting(
            name=name,
            value=Raw(b"null" if shown is UNSET else _encode(shown)),
            env=self._variables.get(name, ""),
            help=reason,
        )


def flattened(group: msgspec.Struct, prefix: str = "") -> Iterator[Placed]:
    """The settings of a group and of those in it: ``limits.lease_timeout_ms``."""
    for field in group.__struct_fields__:
        value = getattr(group, field)
        if isinstance(value, msgspec.Struct):
            yield from flattened(value, f"{prefix}{field}.")
        else:
            yield Placed(f"{prefix}{field}", value, type(group).__name__, field)


def _is_secret(name: str) -> bool:
    words = name.rpartition(".")[2].split("_")
    return name not in _PATHS and not _SECRETS.isdisjoint(words)


def _reasons() -> dict[str, dict[str, str]]:
    """What stands beside each setting, by class and field; nothing where there is no source."""
    try:
        source = inspect.getsource(config)
    except OSError:
        return {}
    classes = (each for each in ast.parse(source).body if isinstance(each, ast.ClassDef))
    return {each.name: dict(_reasons_in(each)) for each in classes}


def _reasons_in(group: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for statement, after in pairwise(group.body):
        match statement, after:
            case (
                ast.AnnAssign(target=ast.Name(id=field)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                yield field, " ".join(text.split())
