from __future__ import annotations

import msgspec
import pytest

from osqueue.engine.fate import (
    Base,
    Fate,
    Finding,
    Verdict,
    fate_among_writers,
    fate_by_lineage,
    judge,
)
from osqueue.model.lineage import CommitId
from osqueue.model.snapshot import Origin, read_origin
from osqueue.storage.protocol import Stored, Version


def whole(**fields: str) -> bytes:
    """A state object with some header fields, given as JSON text."""
    header = "".join(f'"{name}":{value},' for name, value in fields.items())
    return f'{{{header}"broker":"b:1","jobs":[]}}'.encode()


BASE = Base(Version("v1"), whole(format="1", epoch="5", commit='"5-1-me"'), "5-1-me")
OURS = whole(format="1", epoch="5", commit='"5-2-me"')


def found(data: bytes, version: str = "v2", base: Base | None = BASE) -> Finding:
    """What is found at a version while our commit ``5-2-me`` is under way on top of ``5-1-me``."""
    return judge(Stored(data, Version(version)), base=base, commit_id="5-2-me", data=OURS)


def test_judge_when_the_version_is_our_base_then_it_stands() -> None:
    assert found(BASE.data, "v1").verdict is Verdict.STANDS


def test_judge_when_the_bytes_are_ours_then_it_landed() -> None:
    assert found(OURS).verdict is Verdict.LANDED


def test_judge_when_our_commit_has_other_bytes_then_it_landed_and_was_edited() -> None:
    finding = found(whole(format="1", epoch="5", commit='"5-2-me"', note="1"))
    assert finding.verdict is Verdict.LANDED_THEN_EDITED
    assert finding.origin is not None


def test_judge_when_our_bases_commit_has_other_bytes_then_it_was_edited() -> None:
    edited = whole(format="1", epoch="5", commit='"5-1-me"', note="1")
    assert found(edited).verdict is Verdict.EDITED


def test_judge_when_our_bases_bytes_are_at_another_version_then_it_counts_as_edited() -> None:
    """Somebody has put the same bytes again: our precondition is lost all the same."""
    assert found(BASE.data).verdict is Verdict.EDITED


@pytest.mark.parametrize(
    "fields",
    [
        {"epoch": "6", "commit": '"6-1-other"'},
        {"epoch": "5", "commit": '"5-9-other"'},
        {"epoch": "4", "commit": '"4-1-older"'},
        {"epoch": "6"},
    ],
)
def test_judge_when_another_writer_is_named_then_we_are_fenced(fields: dict[str, str]) -> None:
    finding = found(whole(format="1", **fields))
    assert finding.verdict is Verdict.FENCED
    assert finding.origin is not None
    assert finding.origin.broker == "b:1"


def test_judge_when_there_is_no_epoch_then_an_older_implementation_wrote() -> None:
    assert found(whole()).verdict is Verdict.OVERWRITTEN


def test_judge_when_our_base_was_an_older_one_then_no_commit_is_no_sign_of_an_edit() -> None:
    base = Base(Version("v1"), whole(), None)
    assert found(whole(note="1"), base=base).verdict is Verdict.OVERWRITTEN


def test_judge_when_we_were_creating_it_then_any_other_writer_fences_us() -> None:
    assert found(whole(format="1", epoch="6", commit='"6-1-x"'), base=None).verdict is (
        Verdict.FENCED
    )


@pytest.mark.parametrize("data", [b"", b"  ", b"{", b"[]", b'{"epoch":"x"}', b"\xff"])
def test_judge_when_it_cannot_be_read_then_it_is_corrupt_and_says_why(data: bytes) -> None:
    finding = found(data)
    assert finding.verdict is Verdict.CORRUPT
    assert finding.why


def test_judge_when_the_format_is_newer_then_it_is_corrupt_even_with_our_commit() -> None:
    finding = found(whole(format="2", epoch="5", commit='"5-2-me"'))
    assert finding.verdict is Verdict.CORRUPT
    assert "format 2" in finding.why


def test_judge_when_no_commit_is_under_way_then_only_the_base_counts() -> None:
    stored = Stored(OURS, Version("v2"))
    assert judge(stored, base=BASE, commit_id=None, data=None).verdict is Verdict.FENCED


def lineage(text: str) -> Origin:
    return read_origin(whole(format="1", epoch="9", commit='"9-1-x"', lineage=text))


def test_fate_when_lineage_names_the_commit_then_it_landed() -> None:
    assert fate_by_lineage(lineage('{"5":"5-2-me"}'), 5, "5-2-me") is Fate.LANDED


def test_fate_when_lineage_names_an_earlier_one_then_it_was_not_applied() -> None:
    assert fate_by_lineage(lineage('{"5":"5-1-me"}'), 5, "5-2-me") is Fate.NOT_APPLIED


@pytest.mark.parametrize("origin", [lineage("{}"), lineage('{"4":"5-2-me"}'), None])
def test_fate_when_lineage_does_not_name_us_then_it_is_unknown(origin: Origin | None) -> None:
    assert fate_by_lineage(origin, 5, "5-2-me") is Fate.UNKNOWN


# Among several writers: a commit that is named nowhere


COMMIT = CommitId(50, 9, "shared.me")
BASE_ORIGIN = read_origin(whole(format="1", epoch="50", lineage='{"40":"40-3-led"}'))


def among(epoch: int, lineage: dict[str, str], base: Origin = BASE_ORIGIN) -> Fate:
    text = msgspec.json.encode(lineage).decode()
    origin = read_origin(whole(format="1", epoch=str(epoch), commit='"0-0-x"', lineage=text))
    return fate_among_writers(origin, COMMIT, base=base)


def crowd(**others: str) -> dict[str, str]:
    """As many entries as there can be; all but ``others`` are later than the commit."""
    later = {f"shared.{n}": f"50-{10 + n}-shared.{n}" for n in range(64 - len(others))}
    return {**{name.replace("_", "."): last for name, last in others.items()}, **later}


@pytest.mark.parametrize(
    ("epoch", "lineage", "fate"),
    [
        pytest.param(50, {"shared.me": "50-9-shared.me"}, Fate.LANDED, id="it is named"),
        pytest.param(51, {"50": "50-9-shared.me"}, Fate.LANDED, id="named under another key"),
        pytest.param(50, {"shared.me": "50-7-shared.me"}, Fate.NOT_APPLIED, id="an earlier one"),
        pytest.param(50, {}, Fate.NOT_APPLIED, id="our epoch, and room"),
        pytest.param(51, {"shared.y": "50-12-shared.y"}, Fate.NOT_APPLIED, id="our epoch is named"),
        pytest.param(51, {"40": "40-3-led"}, Fate.NOT_APPLIED, id="what our base named"),
        pytest.param(51, {"40": "40-9-led"}, Fate.UNKNOWN, id="a key that our base had"),
        pytest.param(51, {}, Fate.UNKNOWN, id="another epoch, and nothing of ours"),
        pytest.param(51, {"30": "30-1-x"}, Fate.UNKNOWN, id="a lower epoch proves nothing"),
        pytest.param(50, crowd(), Fate.UNKNOWN, id="full of later ones"),
        pytest.param(50, crowd(shared_z="50-8-shared.z"), Fate.NOT_APPLIED, id="one before us"),
        pytest.param(50, crowd(shared_z="49-8-shared.z"), Fate.UNKNOWN, id="an older epoch's"),
        pytest.param(51, crowd(old="50-x"), Fate.UNKNOWN, id="names that tell nothing"),
    ],
)
def test_fate_among_writers_when_this_stands_there_then_it_is_known_or_not(
    epoch: int, lineage: dict[str, str], fate: Fate
) -> None:
    assert among(epoch, lineage) is fate


def test_fate_among_writers_when_a_full_one_has_what_our_base_named_then_not_applied() -> None:
    lineage = crowd()
    del lineage["shared.0"]
    assert among(51, {"40": "40-3-led", **lineage}) is Fate.NOT_APPLIED


def test_fate_among_writers_when_nothing_can_be_read_then_it_is_unknown() -> None:
    assert fate_among_writers(None, COMMIT, base=BASE_ORIGIN) is Fate.UNKNOWN
