"""What installing the test servers does on a machine that has none of them."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest
from tests.integration.servers.install import MissingServerError, install_debian_packages

APT_GET = """\
#!/bin/sh
cd "$(dirname "$0")"
echo "$@" >> asked
exit "$(cat status)"
"""


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The one place where commands are looked for. It has what every system has."""
    for command in ("env", "sh", "cat", "dirname"):
        (tmp_path / command).symlink_to(shutil.which(command) or command)
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def add_apt_get(place: Path, *, status: int = 0) -> None:
    (place / "apt-get").write_text(APT_GET)
    (place / "apt-get").chmod(0o755)
    (place / "status").write_text(str(status))


def be(monkeypatch: pytest.MonkeyPatch, user: int) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user)


def test_install_when_root_then_asks_for_what_is_missing(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_apt_get(bare)
    be(monkeypatch, 0)
    (bare / "node").symlink_to(sys.executable)
    install_debian_packages()
    update, install = (bare / "asked").read_text().splitlines()
    assert update.endswith("update")
    packages = "ceph-common ceph-mgr ceph-mon ceph-osd chromium gcc libc6-dev npm radosgw spin"
    assert install.endswith(f"install --yes --no-install-recommends {packages}")


def test_install_when_neither_root_nor_sudo_then_says_what_is_missing(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_apt_get(bare)
    be(monkeypatch, 1000)
    with pytest.raises(MissingServerError, match=r"need root or sudo: .*by hand \(ceph-common "):
        install_debian_packages()
    assert not (bare / "asked").exists()


def test_install_when_there_is_no_apt_get_then_says_so(bare: Path) -> None:
    assert bare.exists()
    with pytest.raises(MissingServerError, match=r"no Debian system: .*radosgw"):
        install_debian_packages()


def test_install_when_apt_get_fails_then_says_which_command(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_apt_get(bare, status=100)
    be(monkeypatch, 0)
    with pytest.raises(MissingServerError, match=r"apt-get .* update` failed with status 100"):
        install_debian_packages()
