"""What mypy and pyright say of programs: an error in each line marked ``wrong``, in no other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.integration.servers.install import PYRIGHT, MissingServerError, require

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SAMPLES = sorted((HERE / "samples").glob("*.py"))
MARK = "# wrong"


def marked(sample: Path) -> list[int]:
    lines = enumerate(sample.read_text().splitlines(), 1)
    return [number for number, line in lines if line.endswith(MARK)]


def run(command: Sequence[str]) -> str:
    """What a checker prints; it ends with 1 where it finds something."""
    path = {**os.environ, "MYPYPATH": str(ROOT / "src")}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=path)
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.stem)
def test_mypy_when_it_reads_a_sample_then_finds_what_is_wrong_and_nothing_else(
    sample: Path,
) -> None:
    options = ("--config-file", os.devnull, "--strict", "--python-version", "3.11")
    said = run([sys.executable, "-m", "mypy", *options, "--output", "json", str(sample)])
    errors = [json.loads(line) for line in said.splitlines()]
    found = {error["line"]: error for error in errors if Path(error["file"]).name == sample.name}
    assert sorted(found) == marked(sample), said


@pytest.mark.external
@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.stem)
def test_pyright_when_it_reads_a_sample_then_finds_what_is_wrong_and_nothing_else(
    sample: Path, tmp_path: Path
) -> None:
    require("node")
    program = PYRIGHT / "node_modules" / "pyright" / "index.js"
    if not program.exists():
        raise MissingServerError("pyright not found: `make servers` installs it")
    (tmp_path / sample.name).write_text(sample.read_text())
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings()))
    told = run(
        ["node", str(program), "-p", str(tmp_path), "--pythonpath", sys.executable, "--outputjson"]
    )
    found = {each["range"]["start"]["line"] + 1 for each in json.loads(told)["generalDiagnostics"]}
    assert sorted(found) == marked(sample), told


def settings() -> dict[str, object]:
    return {
        "include": ["."],
        "extraPaths": [str(ROOT / "src")],
        "pythonVersion": "3.11",
        "typeCheckingMode": "strict",
    }
