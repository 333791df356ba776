"""``python -m tests.simulation.rules.page`` writes ``docs/rules.md``: the rules, and what holds
them.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Final

from tests.simulation.rules import RULES, THEMES, rules_of
from tests.simulation.rules.elsewhere import ELSEWHERE

__all__ = ["PAGE", "page"]

PAGE: Final = Path(__file__).parents[3] / "docs" / "rules.md"

HEAD: Final = f"""# Rules

Here are the rules on which the queue's promises rest, {len(RULES)} of them, each with a script that
shows what it is for. A script plays in a small [simulated world](simulation.md): real brokers,
a simulated store and network. It says of one write, one request or one process what becomes of it,
and when, and what has to come of that. It is run twice: with the rule it holds; with the rule left
out of the code, by other words in the source of a function, it does not, and says so.

```console
$ python -m pytest tests/simulation/test_rules.py
```

This page is written by `python -m tests.simulation.rules.page`; a test compares it.
"""

ELSEWHERE_HEAD: Final = """## Held elsewhere

What costs time but changes nothing, and what is of one place alone, has tests of its own, below
`tests/`.
"""


def page() -> str:
    """The page, from the rules as they are."""
    themes = [_theme(theme) for theme in THEMES]
    elsewhere = "".join(
        f"| {held.rule} | `{held.test.partition('::')[0]}` |\n" for held in ELSEWHERE
    )
    table = f"| | |\n|---|---|\n{elsewhere}"
    return "\n".join([HEAD, *themes, f"{ELSEWHERE_HEAD}\n{table}"])


def _theme(theme: ModuleType) -> str:
    name = theme.__name__.rpartition(".")[2]
    said = (inspect.getdoc(theme) or "").partition("\n\n")[0].replace("\n", " ")
    rows = "".join(_rows(theme))
    return (
        f"## {name.capitalize()}\n\n{said}\n\n| rule | script in `{name}.py` |\n|---|---|\n{rows}"
    )


def _rows(theme: ModuleType) -> Iterator[str]:
    for it in rules_of(theme):
        yield f"| {it.name} | `{getattr(it.script, '__name__', '')}` |\n"


if __name__ == "__main__":
    PAGE.write_text(page())
