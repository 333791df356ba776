"""Things that are named: when they are imported, and what is said when they cannot be."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from tests.unit.jobs.payloads import Resize, SendEmail

from osqueue.errors import ConfigError
from osqueue.jobs.references import Reference, path_of


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Makes a module of a text, and answers its name."""
    monkeypatch.syspath_prepend(tmp_path)

    def make(text: str) -> str:
        name = f"made_{tmp_path.name.replace('-', '_')}"
        (tmp_path / f"{name}.py").write_text(text)
        monkeypatch.delitem(sys.modules, name, raising=False)
        return name

    return make


@pytest.mark.parametrize(
    "path", ["", "module", "module:", ":name", "a b:c", "a:b c", "module.:name", "a:b:c", "a/b:c"]
)
def test_reference_when_it_names_nothing_then_config_error(path: str) -> None:
    with pytest.raises(ConfigError, match=r"the handler must be named as 'package\.module:name'"):
        Reference(path, "the handler")


def test_load_when_the_name_leads_on_then_it_is_followed() -> None:
    assert Reference("tests.unit.jobs.payloads:Resize.__name__", "it").load() == "Resize"


def test_load_when_nothing_of_that_name_is_there_then_config_error_says_so() -> None:
    with pytest.raises(ConfigError, match="the handler is 'json:dump_it', but json has no dump_it"):
        Reference("json:dump_it", "the handler").load()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("raise ValueError('bad day')", "ValueError: bad day"),
        ("import no_such_module_at_all", "No module named 'no_such_module_at_all'"),
        ("def (", "SyntaxError"),
        ("raise SystemExit(3)", "SystemExit: 3"),
    ],
)
def test_load_when_the_module_cannot_be_imported_then_config_error_says_why(
    module: Callable[[str], str], text: str, reason: str
) -> None:
    with pytest.raises(ConfigError, match=reason):
        Reference(f"{module(text)}:anything", "the handler").load()


def test_imported_when_asked_then_nothing_is_imported(module: Callable[[str], str]) -> None:
    reference = Reference(f"{module('found = 7')}:found", "it")
    assert not reference.imported
    assert reference.load() == 7
    assert reference.imported


def test_path_of_when_it_is_a_thing_of_a_module_then_how_it_would_be_named() -> None:
    assert path_of(SendEmail) == "tests.unit.jobs.payloads:SendEmail"
    assert path_of(partial(path_of)) == "functools:partial"
    assert path_of(Resize(1)) == "tests.unit.jobs.payloads:Resize"
