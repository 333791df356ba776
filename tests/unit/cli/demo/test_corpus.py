"""The demo's input."""

from __future__ import annotations

from pathlib import Path

import pytest

from osqueue.cli.demo.corpus import job_id, source_files, standard_library


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("b.py", "a/c.py", "a/d.txt", "site-packages/x.py", "__pycache__/y.py", "e.py"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("")
    return tmp_path


def test_files_when_listed_then_every_source_in_order_but_foreign_packages(root: Path) -> None:
    assert source_files(root) == ["a/c.py", "b.py", "e.py"]


@pytest.mark.parametrize(("limit", "files"), [(1, ["a/c.py"]), (2, ["a/c.py", "b.py"]), (9, None)])
def test_files_when_limited_then_so_many(limit: int, files: list[str] | None, root: Path) -> None:
    assert source_files(root, limit) == (files or source_files(root))


def test_standard_library_when_listed_then_many_hundred_files() -> None:
    files = source_files(standard_library())
    assert len(files) > 300
    assert {"ast.py", "asyncio/base_events.py"} <= set(files)


def test_job_id_when_made_again_then_the_same_and_else_another() -> None:
    assert job_id("run", "a.py") == job_id("run", "a.py")
    assert len({job_id(run, path) for run in ("r", "s") for path in ("a.py", "b.py")}) == 4
