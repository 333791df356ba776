"""Installs what the benchmark beside peers needs. ``make bench-peers`` runs it first.

Redis and PostgreSQL are Debian's, fetched and unpacked into a folder of this repository that git
ignores: nothing of it needs root, and nothing is installed on the machine. The peers themselves
have an environment of their own, so that none of their packages meets the project's.
What is there already is left alone, so a second run costs nothing.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

__all__ = ["PYTHON", "MissingPeerError", "binary", "libraries"]

ROOT = Path(__file__).resolve().parents[2]
PLACE = ROOT / ".servers" / "peers"
ENVIRONMENT = PLACE / "venv"
PYTHON = ENVIRONMENT / "bin" / "python"
"""The interpreter that has the peers."""

DEBIAN = PLACE / "debian"
"""What was unpacked, as it would lie under ``/``."""

REQUIREMENTS = Path(__file__).with_name("requirements.txt")
POSTGRES_BIN = "usr/lib/postgresql/15/bin"
PACKAGES = ("redis-server", "redis-tools", "postgresql-15", "postgresql-client-15")
"""Of Debian 12; what they need and the machine lacks comes along."""

INSTALLED = "installed"
"""What the files beside it were installed from; written last."""


class MissingPeerError(Exception):
    """A peer or its server is not installed. Says why."""


def binary(name: str) -> Path:
    """A program of the unpacked servers. Raises `MissingPeerError`."""
    for folder in ("usr/bin", POSTGRES_BIN):
        if (DEBIAN / folder / name).exists():
            return DEBIAN / folder / name
    raise MissingPeerError(f"{name} not found: `make bench-peers` unpacks it, on Debian 12")


def libraries() -> str:
    """Where the unpacked programs find the libraries that were unpacked with them."""
    return ":".join(str(folder) for folder in sorted(DEBIAN.glob("usr/lib/*-linux-gnu")))


def main() -> None:
    """Install both; the one is of use without the other."""
    failed = False
    for install in (install_environment, install_servers):
        try:
            install()
        except MissingPeerError as error:
            failed = True
            print(f"peers: {error}", file=sys.stderr)
    sys.exit(failed)


def install_environment() -> None:
    wanted = REQUIREMENTS.read_text()
    if _installed(ENVIRONMENT, wanted):
        return
    _run([sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT)])
    quiet = ("--quiet", "--disable-pip-version-check")
    _run([str(PYTHON), "-m", "pip", "install", *quiet, "-r", str(REQUIREMENTS)])
    (ENVIRONMENT / INSTALLED).write_text(wanted)


def install_servers() -> None:
    wanted = " ".join(PACKAGES)
    if _installed(DEBIAN, wanted):
        return
    if shutil.which("apt-get") is None:
        raise MissingPeerError("this is no Debian system: there will be no Redis, no PostgreSQL")
    shutil.rmtree(DEBIAN, ignore_errors=True)
    DEBIAN.mkdir(parents=True)
    for package in _fetch():
        _run(["dpkg-deb", "--extract", str(package), str(DEBIAN)])
    shutil.rmtree(PLACE / "apt")
    (DEBIAN / INSTALLED).write_text(wanted)


def _fetch() -> Sequence[Path]:
    """The package files: by apt, with lists and a cache of our own, and no lock of the system's."""
    lists, cache = PLACE / "apt" / "lists", PLACE / "apt" / "cache"
    for folder in (lists / "partial", cache / "archives" / "partial"):
        folder.mkdir(parents=True, exist_ok=True)
    options = [f"Dir::State::Lists={lists}", f"Dir::Cache={cache}", "Debug::NoLocking=true"]
    options += ["APT::Sandbox::User=root"]
    apt_get = ["apt-get", "-qq", *[part for option in options for part in ("-o", option)]]
    _run([*apt_get, "update"])
    fetch = ("install", "--download-only", "--reinstall", "--yes", "--no-install-recommends")
    _run([*apt_get, *fetch, *PACKAGES])
    return sorted((cache / "archives").glob("*.deb"))


def _installed(place: Path, wanted: str) -> bool:
    mark = place / INSTALLED
    return mark.exists() and mark.read_text() == wanted


def _run(command: Sequence[str]) -> None:
    """Run to the end, its output on our stderr."""
    print(f"peers: {' '.join(command)}", file=sys.stderr)
    done = subprocess.run(command, stdout=sys.stderr, check=False)
    if done.returncode:
        raise MissingPeerError(f"`{' '.join(command)}` failed with status {done.returncode}")


if __name__ == "__main__":
    main()
