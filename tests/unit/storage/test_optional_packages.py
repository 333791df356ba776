"""The libraries are loaded by the store that needs them, and their lack is told clearly."""

from __future__ import annotations

import subprocess
import sys

import pytest

LIBRARIES = {"obstore", "google.cloud.storage", "boto3", "requests"}


def printed_by(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    )
    return done.stdout


def test_storage_when_imported_then_no_library_is_loaded() -> None:
    loaded = printed_by("import sys, osqueue.storage; print(*sys.modules)").split()
    assert LIBRARIES.isdisjoint(loaded)


@pytest.mark.parametrize(
    ("url", "package", "extra"),
    [
        ("s3://b", "obstore", "s3"),
        ("az://c?account=a", "obstore", "azure"),
        ("gs://b", "google.cloud.storage", "gcs"),
    ],
)
def test_open_store_when_its_library_is_not_installed_then_says_what_to_install(
    url: str, package: str, extra: str
) -> None:
    code = f"""
import sys
sys.modules[{package!r}] = None
from osqueue.errors import ConfigError
from osqueue.storage import open_store
try:
    open_store({url!r})
except ConfigError as error:
    print(error)
"""
    assert f"pip install 'osqueue[{extra}]'" in printed_by(code)


def test_open_store_with_a_profile_when_boto3_is_not_installed_then_says_so() -> None:
    code = """
import sys
sys.modules["boto3"] = None
from osqueue.errors import ConfigError
from osqueue.storage import open_store
try:
    open_store("s3://b?profile=mine")
except ConfigError as error:
    print(error)
"""
    assert "the profile 'mine' is read with boto3: pip install boto3" in printed_by(code)
