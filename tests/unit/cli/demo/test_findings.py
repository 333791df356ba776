"""What the demo found, and whether all of it is there."""

from __future__ import annotations

from msgspec.structs import replace

from osqueue.cli.demo.findings import faults, summarize
from osqueue.cli.demo.index import FileIndex, Function
from osqueue.cli.demo.results import Result

LONG, SHORT = Function("long", 3, 90), Function("short", 1, 2)
FIRST = FileIndex(lines=100, words={"a": 3, "b": 1}, functions=2, classes=1, longest=LONG)
SECOND = FileIndex(lines=10, words={"b": 5}, functions=1, classes=0, longest=SHORT)
BASE = Result(job_id="1", path="one.py", attempt=1, created_at=0, started_at=0)
RESULTS = [
    replace(BASE, index=SECOND),
    replace(BASE, job_id="2", path="two.py", attempt=3, runs=2, index=FIRST),
    replace(BASE, job_id="3", path="three.py", attempt=2, skipped="SyntaxError"),
]
EXPECTED = {"1": "one.py", "2": "two.py", "3": "three.py"}


def test_results_when_summed_up_then_every_one_counts() -> None:
    findings = summarize(RESULTS)
    assert (findings.indexed, findings.lines, findings.words) == (2, 110, 9)
    assert (findings.distinct_words, findings.functions, findings.classes) == (2, 3, 1)
    assert findings.common_words == [("b", 6), ("a", 3)]
    assert findings.longest == [("two.py", LONG), ("one.py", SHORT)]
    assert findings.skipped == [("three.py", "SyntaxError")]
    assert (findings.handed_out_again, findings.ran_again) == (2, 1)


def test_results_when_there_are_none_then_nothing_is_found() -> None:
    assert summarize([]).longest == []


def test_faults_when_all_is_there_then_none() -> None:
    assert faults(EXPECTED, RESULTS, left=0, dead=0) == []


def test_faults_when_a_file_has_no_result_then_said() -> None:
    assert faults(EXPECTED, RESULTS[1:], left=0, dead=0) == [
        "1 files have no result, such as ['one.py']"
    ]


def test_faults_when_a_result_is_foreign_then_said() -> None:
    strange = [*RESULTS, replace(BASE, job_id="9")]
    wrong = [replace(RESULTS[0], path="other.py"), *RESULTS[1:]]
    for results, job_id in ((strange, "9"), (wrong, "1")):
        complaints = faults(EXPECTED, results, left=0, dead=0)
        assert complaints == [f"1 results belong to no file, such as ['{job_id}']"]


def test_faults_when_the_queue_holds_jobs_then_said() -> None:
    complaints = faults(EXPECTED, RESULTS, left=2, dead=1)
    assert complaints[0] == "2 jobs are still in the queue"
    assert complaints[1].startswith("1 jobs are dead")
