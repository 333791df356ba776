"""The files of the dashboard, as they are in the package."""

from __future__ import annotations

import gzip
import re
from fnmatch import fnmatch
from importlib.resources import files
from pathlib import Path

from osqueue.config import KIB
from osqueue.server.dashboard.files import INDEX, Asset, read_assets

FOLDER = files("osqueue.server.dashboard") / "assets"
LINK = re.compile(r"""(?:src|href)="([^"#]+)\"""")


def test_files_when_read_then_all_are_there_under_their_own_names() -> None:
    assets = read_assets()
    assert {INDEX, "app.js"} <= set(assets)
    for name, asset in assets.items():
        assert asset.data == FOLDER.joinpath(*name.split("/")).read_bytes(), name
        assert not any(part.startswith(".") for part in name.split("/"))


def test_page_when_read_then_it_links_only_to_files_that_are_there_and_relatively() -> None:
    assets = read_assets()
    links = LINK.findall(assets[INDEX].data.decode())
    assert links
    for link in links:
        assert link.startswith("data:") or link.removeprefix("ui/") in assets, link


def test_page_when_read_then_it_has_no_script_and_no_style_of_its_own() -> None:
    """The policy that is sent along would let neither run."""
    page = read_assets()[INDEX].data.decode()
    assert not re.search(r"<script(?![^>]*\ssrc=)[^>]*>", page)
    assert not re.search(r"<style|\sstyle=|\son\w+=", page)


def test_files_when_compressed_then_they_are_the_same_and_no_larger() -> None:
    for asset in read_assets().values():
        assert len(asset.compressed) <= len(asset.data)
        if asset.compressed is not asset.data:
            assert gzip.decompress(asset.compressed) == asset.data


def test_text_when_long_then_it_is_compressed_once_and_always_alike() -> None:
    text = b"the same again, " * 1_000
    first, second = Asset("a.js", text), Asset("b.js", text)
    assert len(first.compressed) < len(text) // 10
    assert first.compressed is first.compressed
    assert first.compressed == second.compressed


def test_picture_when_compressed_then_it_is_left_as_it_is() -> None:
    picture = Asset("a.png", b"0" * 1_000)
    assert picture.compressed is picture.data


def test_etag_when_the_file_differs_then_so_does_it() -> None:
    same, other = Asset("a.js", b"1"), Asset("a.js", b"2")
    assert same.etag == Asset("b.js", b"1").etag != other.etag
    assert re.fullmatch(rb'W/"[0-9a-f]{32}"', same.etag)


def test_files_when_a_wheel_is_built_then_none_is_left_out() -> None:
    """What git is told to ignore is not packed, wherever it is in the tree."""
    ignore = Path(__file__).parents[4] / ".gitignore"
    patterns = [line.rstrip("/") for line in ignore.read_text().split()]
    for name in read_assets():
        for part in name.split("/"):
            assert not [each for each in patterns if fnmatch(part, each)], name


def test_files_when_compressed_then_all_of_them_are_small_enough_to_come_at_once() -> None:
    assert sum(len(asset.compressed) for asset in read_assets().values()) < 200 * KIB
