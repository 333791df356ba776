"""Installs the test servers that do not come from PyPI. ``make test-all`` runs it first.

Ceph's daemons, Chromium, npm, and spin with the C compiler that it needs are Debian packages, and
need root; azurite, the client of Connect, pyright and axe-core are npm packages, whose lock files
pin all that they bring, in folders of this repository that git ignores. What is there already is
left alone, so a second run costs nothing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

__all__ = ["AXE", "AZURITE", "CONNECT_NODE", "PYRIGHT", "MissingServerError", "require"]

ROOT = Path(__file__).resolve().parents[3]
AXE = ROOT / ".servers" / "axe"
"""Where the checker of accessibility is."""

AZURITE = ROOT / ".servers" / "azurite"
"""Where azurite's packages are."""

CONNECT_NODE = ROOT / ".servers" / "connect-node"
"""Where the packages of the Connect client are."""

PYRIGHT = ROOT / ".servers" / "pyright"
"""Where the second type checker is."""

PINNED: Mapping[Path, Path] = MappingProxyType(
    {
        AXE: Path(__file__).parents[2] / "browser" / "axe_core",
        AZURITE: Path(__file__).parent / "azurite",
        CONNECT_NODE: Path(__file__).parents[1] / "connect_node",
        PYRIGHT: Path(__file__).parents[2] / "static" / "pyright",
    }
)
"""Each place of npm packages, and the folder whose lock file says what they are."""

INSTALLED = "installed-lock.json"
"""The lock file that the packages beside it were installed from; written last."""

DEBIAN_PACKAGES: Mapping[str, str] = MappingProxyType(
    {
        "ceph-mon": "ceph-mon",
        "ceph-mgr": "ceph-mgr",
        "ceph-osd": "ceph-osd",
        "ceph": "ceph-common",
        "ceph-authtool": "ceph-common",
        "monmaptool": "ceph-common",
        "radosgw": "radosgw",
        "radosgw-admin": "radosgw",
        "chromium": "chromium",
        "spin": "spin",
        "gcc": "gcc",
        "gencat": "libc6-dev",
        "node": "nodejs",
        "npm": "npm",
    }
)
"""Each command that is needed, and the package that has it. The headers that C programs want bring
`gencat` along."""


class MissingServerError(Exception):
    """A test server is not installed. Says what installs it."""


def require(*commands: str) -> None:
    """Raise `MissingServerError` unless all of these commands are installed."""
    missing = [command for command in commands if shutil.which(command) is None]
    if missing:
        raise MissingServerError(f"{', '.join(missing)} not found: `make servers` installs them")


def main() -> None:
    try:
        install_debian_packages()
        for place, pinned in PINNED.items():
            install_packages(place, pinned)
    except MissingServerError as error:
        sys.exit(f"test servers: {error}")


def install_debian_packages() -> None:
    missing = {package for command, package in DEBIAN_PACKAGES.items() if not shutil.which(command)}
    if not missing:
        return
    packages = sorted(missing)
    noninteractive = ["env", "DEBIAN_FRONTEND=noninteractive"]
    apt_get = [*_become_root(packages), *noninteractive, "apt-get", "-qq", "-o", "Dpkg::Use-Pty=0"]
    _run([*apt_get, "update"])
    _run([*apt_get, "install", "--yes", "--no-install-recommends", *packages])


def install_packages(place: Path, pinned: Path) -> None:
    lock = (pinned / "package-lock.json").read_bytes()
    installed = place / INSTALLED
    if installed.exists() and installed.read_bytes() == lock:
        return
    place.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(pinned / name, place / name)
    quiet = ("--loglevel=error", "--no-audit", "--no-fund", "--no-update-notifier")
    _run(["npm", "ci", "--ignore-scripts", *quiet], cwd=place)
    installed.write_bytes(lock)


def _become_root(packages: Sequence[str]) -> list[str]:
    """What to put before a command that needs root."""
    by_hand = f"install them by hand ({' '.join(packages)}), or run `make test` without them"
    if shutil.which("apt-get") is None:
        raise MissingServerError(f"this is no Debian system: {by_hand}")
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") is None:
        raise MissingServerError(f"Debian packages are missing, and need root or sudo: {by_hand}")
    return ["sudo"]


def _run(command: Sequence[str], cwd: Path | None = None) -> None:
    """Run to the end, its output on our stderr."""
    print(f"test servers: {' '.join(command)}", file=sys.stderr)  # noqa: T201 - it takes a while
    done = subprocess.run(command, cwd=cwd, stdout=sys.stderr, check=False)
    if done.returncode:
        raise MissingServerError(f"`{' '.join(command)}` failed with status {done.returncode}")


if __name__ == "__main__":
    main()
