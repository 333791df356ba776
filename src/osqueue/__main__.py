"""`python -m osqueue` is the command `osqueue`."""

from __future__ import annotations

import sys

from osqueue.cli import main

if __name__ == "__main__":
    sys.exit(main())
