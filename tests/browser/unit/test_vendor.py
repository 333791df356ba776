"""The libraries that the dashboard brings along are those of the list; all assets stay small."""

from __future__ import annotations

import gzip
import re
import shutil
from pathlib import Path

import pytest
from tests import vendor
from tests.integration.servers.install import require

ASSETS = vendor.VENDOR.parent
OWN = [path for path in sorted(ASSETS.rglob("*.js")) if path.parent != vendor.VENDOR]
COMPRESSED_BYTES_MAX = 200_000
MARKUP = ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function")


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The vendored files, somewhere they can be spoiled."""
    folder = tmp_path / "vendor"
    shutil.copytree(vendor.VENDOR, folder)
    monkeypatch.setattr(vendor, "VENDOR", folder)
    monkeypatch.setattr(vendor, "LIST", folder / vendor.LIST.name)
    return folder


def test_vendored_files_when_compared_with_the_list_then_nothing_is_amiss() -> None:
    assert [*vendor.strays()] == []


def test_vendored_files_when_one_is_changed_then_it_is_named(copied: Path) -> None:
    (copied / "htm.js").write_bytes(b"// another")
    assert [*vendor.strays()] == ["htm.js has been changed: `make vendor` makes it anew"]


def test_vendored_files_when_one_is_missing_or_too_many_then_they_are_named(copied: Path) -> None:
    (copied / "htm.js").rename(copied / "stray.js")
    assert [*vendor.strays()] == ["stray.js is in no package of vendor.json", "htm.js is missing"]


def test_packages_when_listed_then_have_a_licence_beside_them() -> None:
    for package in vendor.read_list():
        assert package.license
        assert any(each.source == "LICENSE" for each in package.files)


def test_assets_when_compressed_then_are_small() -> None:
    files = [path for path in ASSETS.rglob("*") if path.is_file()]
    sizes = {path.name: len(gzip.compress(path.read_bytes())) for path in files}
    assert sum(sizes.values()) < COMPRESSED_BYTES_MAX, sizes


@pytest.mark.parametrize("path", OWN, ids=lambda path: str(path.relative_to(ASSETS)))
def test_own_file_when_read_then_makes_no_markup_and_fetches_nothing_from_elsewhere(
    path: Path,
) -> None:
    text = path.read_text()
    assert [word for word in (*MARKUP, "dangerouslySetInnerHTML") if word in text] == []
    assert re.findall(r"""["'`]https?://""", text) == []
    imported = re.findall(r"""(?:from|import\()\s*["']([^"']+)["']""", text)
    assert [each for each in imported if not each.startswith(".")] == []
    assert [each for each in imported if not (path.parent / each).is_file()] == []


@pytest.mark.external
def test_vendored_files_when_compared_with_npm_then_are_what_is_published_there() -> None:
    require("npm")
    vendor.check()
