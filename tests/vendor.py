"""The libraries that the dashboard brings along, and where each of their files is from.

`vendor.json` beside them is the one list: package, version, licence, and for each file its source
in the package and its hash. `make vendor` takes the newest versions from npm; `python -m
tests.vendor check` has npm bring the versions of the list and compares every byte. A file is as it
is in its package, but for what `adapted` says.
"""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

__all__ = ["LIST", "VENDOR", "Package", "VendorError", "check", "read_list", "strays", "update"]

VENDOR = Path(__file__).parent.parent / "src/osqueue/server/dashboard/assets/vendor"
"""Where the files are."""

LIST = VENDOR / "vendor.json"
"""What they are."""

NEWEST = "latest"


class VendorError(Exception):
    """A file is not what the list says."""


class File(msgspec.Struct):
    """``file`` here is ``source`` in the package."""

    file: str
    source: str
    sha256: str


class Package(msgspec.Struct):
    """A package of npm; ``integrity`` is npm's own hash of it."""

    name: str
    version: str
    license: str
    integrity: str
    files: list[File]


class Packages(msgspec.Struct):
    packages: list[Package]


class _Packed(msgspec.Struct):
    """What `npm pack --json` says."""

    filename: str
    version: str
    integrity: str


class _Manifest(msgspec.Struct):
    license: str


def read_list() -> list[Package]:
    """The packages that are brought along."""
    return msgspec.json.decode(LIST.read_bytes(), type=Packages).packages


def strays() -> Iterator[str]:
    """What is wrong with the files beside the list, going by the list alone."""
    expected = {each.file: each.sha256 for package in read_list() for each in package.files}
    for path in sorted(VENDOR.iterdir()):
        if path != LIST and path.name not in expected:
            yield f"{path.name} is in no package of {LIST.name}"
    for name, sha256 in expected.items():
        if not (VENDOR / name).is_file():
            yield f"{name} is missing"
        elif _sha256((VENDOR / name).read_bytes()) != sha256:
            yield f"{name} has been changed: `make vendor` makes it anew"


def check() -> None:
    """Compare every file with its package on npm. Raises `VendorError`."""
    wrong = [*strays()]
    for package in read_list():
        packed, read = _fetch(package.name, package.version)
        if packed.integrity != package.integrity:
            wrong.append(f"{package.name} {package.version} on npm is another one")
        wrong += [
            f"{each.file} is not {each.source} of {package.name}"
            for each in package.files
            if _sha256(adapted(read(each.source))) != each.sha256
        ]
    if wrong:
        raise VendorError("; ".join(wrong))


def update() -> None:
    """Take the newest version of each package."""
    packages = read_list()
    for package in packages:
        packed, read = _fetch(package.name, NEWEST)
        package.version = packed.version
        package.integrity = packed.integrity
        package.license = msgspec.json.decode(read("package.json"), type=_Manifest).license
        for each in package.files:
            data = adapted(read(each.source))
            (VENDOR / each.file).write_bytes(data)
            each.sha256 = _sha256(data)
    text = msgspec.json.format(msgspec.json.encode(Packages(packages)), indent=2)
    LIST.write_bytes(text + b"\n")


def adapted(data: bytes) -> bytes:
    """The file as a browser can load it: modules by path, and no map that is not there."""
    lines = [line for line in data.splitlines() if not line.startswith(b"//# sourceMappingURL=")]
    text = b"\n".join(lines) + b"\n"
    return text.replace(b'from"preact"', b'from"./preact.js"')


def _fetch(name: str, version: str) -> tuple[_Packed, Callable[[str], bytes]]:
    """A package by npm, and what reads a file of it."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["npm", "pack", "--json", "--loglevel=error", f"{name}@{version}"]
        done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, check=True)
        (packed,) = msgspec.json.decode(done.stdout, type=list[_Packed])
        archive = (Path(folder) / packed.filename).read_bytes()

    def read(path: str) -> bytes:
        with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
            inside = f"package/{path}"
            found = opened.extractfile(inside) if inside in opened.getnames() else None
            if found is None:
                raise VendorError(f"{name} {packed.version} has no file {path}")
            return found.read()

    return packed, read


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


if __name__ == "__main__":
    {"check": check, "update": update}[sys.argv[1]]()
