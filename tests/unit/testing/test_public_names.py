"""What others import from osqueue.testing, and what it costs them."""

from __future__ import annotations

import subprocess
import sys

from osqueue import testing


def test_public_names_then_sorted_and_there() -> None:
    assert testing.__all__ == sorted(testing.__all__)
    assert all(hasattr(testing, name) for name in testing.__all__)


def test_import_then_loads_no_test_framework_and_no_http_library() -> None:
    program = "import sys, osqueue.testing; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.decode().split()}
    assert not loaded & {"pytest", "aiohttp", "starlette", "uvicorn", "obstore", "hypothesis"}
