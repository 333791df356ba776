"""Generates the messages of the wire from their `.proto` files, into a folder.

`make proto` writes them where they belong; a test compares.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from grpc_tools import protoc

__all__ = ["SOURCES", "describe", "generate"]

SOURCES = Path(__file__).parent.parent / "src" / "osqueue" / "wire" / "proto"


def generate(target: Path) -> None:
    """Write the generated package to ``target``. Raises when the compiler refuses."""
    target.mkdir(parents=True, exist_ok=True)
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    own = Path(protoc.__file__).parent / "_proto"
    files = sorted(str(path.relative_to(SOURCES)) for path in SOURCES.rglob("*.proto"))
    failed = protoc.main(["protoc", f"-I{SOURCES}", f"-I{own}", f"--py_out={target}", *files])
    if failed:
        raise SystemExit(f"the protocol compiler refused, with status {failed}")


def describe(target: Path) -> None:
    """Write the descriptors of all messages to the file ``target``, for clients that read those."""
    own = Path(protoc.__file__).parent / "_proto"
    files = sorted(str(path.relative_to(SOURCES)) for path in SOURCES.rglob("*.proto"))
    into = f"--descriptor_set_out={target}"
    failed = protoc.main(["protoc", f"-I{SOURCES}", f"-I{own}", "--include_imports", into, *files])
    if failed:
        raise SystemExit(f"the protocol compiler refused, with status {failed}")


if __name__ == "__main__":
    generate(Path(sys.argv[1]))
