"""Dies by SIGKILL before each system call of one operation in turn. Run by `test_local_crash`.

``crash_points.py DIRECTORY OPERATION``: for n = 1, 2, 3, … a child carries out the operation in a
directory of its own and kills itself before its n-th call, until one lives through all of them.
Prints, as a JSON list, what each left behind.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from osqueue.storage.disk import digest
from osqueue.storage.local import _Files
from osqueue.storage.threads import StoreThreads

OLD, NEW = b"old" * 1_000, b"new" * 1_000

OPERATIONS: dict[str, tuple[str, Callable[[_Files], object]]] = {
    "create": ("queue.json", lambda files: files.create("queue.json", NEW)),
    "nested": ("queues/x/queue.json", lambda files: files.create("queues/x/queue.json", NEW)),
    "put": ("queue.json", lambda files: files.put("queue.json", NEW, digest(OLD))),
    "delete": ("queue.json", lambda files: files.delete("queue.json")),
}
CALLS = ["open", "close", "write", "fsync", "fstat", "utime", "mkdir", "link", "replace", "unlink"]


def files_in(root: Path) -> _Files:
    """What it leaves for later is done at once: dying before that is a point, too."""
    return _Files(str(root), 1_000, AtOnce())


class AtOnce(StoreThreads):
    def later(self, work: Callable[[], object]) -> None:
        work()


def kill_before(call: int) -> None:
    """Count this process's system calls, and die before the one of this number."""
    made = 0

    def deadly(real: Callable[..., Any]) -> Callable[..., Any]:
        def called(*args: Any, **kwargs: Any) -> Any:
            nonlocal made
            made += 1
            if made == call:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **kwargs)

        return called

    for name in CALLS:
        setattr(os, name, deadly(getattr(os, name)))
    fcntl.flock = deadly(fcntl.flock)


def dies(root: Path, operation: str, call: int) -> bool:
    child = os.fork()
    if not child:
        kill_before(call)
        OPERATIONS[operation][1](files_in(root))
        os._exit(0)
    return os.waitpid(child, 0)[1] != 0


def left_behind(root: Path, operation: str) -> str:
    """What the next process finds; it must be able to go on from there, and to clean up."""
    files, key = files_in(root), OPERATIONS[operation][0]
    try:
        stored = files.get(key, None)
    except FileNotFoundError:
        files.create(key, b"next")
        found = "missing"
    else:
        assert stored is not None
        found = {OLD: "old", NEW: "new"}[stored.data]
        files.put(key, b"next", stored.version)
    drafts = [path.name for path in root.iterdir() if path.name.startswith(".")]
    return f"drafts {drafts}" if drafts else found


def main(directory: str, operation: str) -> None:
    call, alive, found = 0, False, []
    while not alive:
        call += 1
        root = Path(directory, f"{operation}-{call}")
        if operation in {"put", "delete"}:
            files_in(root).create("queue.json", OLD)
        alive = not dies(root, operation, call)
        found.append(left_behind(root, operation))
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
