"""The worker process of a system: ``python -m peers.work SYSTEM SETTING STORE``."""

from __future__ import annotations

import sys

from peers.drive import load

if __name__ == "__main__":
    name, setting, store = sys.argv[1:]
    load(name).work(setting, store)
