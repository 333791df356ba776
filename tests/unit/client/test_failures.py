from __future__ import annotations

import pytest

from osqueue.client.failures import describe_failure
from osqueue.config import ERROR_TEXT_CHARS_MAX
from osqueue.wire.messages import JobError


class Unprintable(Exception):  # noqa: N818 - named for what it shows
    def __str__(self) -> str:
        raise RuntimeError("no")


def _raised(error: BaseException) -> BaseException:
    try:
        raise error  # noqa: TRY301 - the place is what is looked at
    except BaseException as caught:  # noqa: BLE001 - the error is the value
        return caught


def test_describe_failure_of_a_builtin_error_names_type_message_and_place() -> None:
    described = describe_failure(_raised(ValueError("no such address")))

    assert described.type == "ValueError"
    assert described.message == "no such address"
    assert described.traceback is not None
    assert "in _raised" in described.traceback
    assert described.traceback.endswith("ValueError: no such address\n")


def test_describe_failure_of_other_errors_names_their_module() -> None:
    assert describe_failure(Unprintable()).type == f"{__name__}.Unprintable"


def test_describe_failure_without_own_files_leaves_their_frames_out() -> None:
    described = describe_failure(_raised(ValueError("x")), without={__file__})

    assert described.traceback == "ValueError: x\n"


def test_describe_failure_of_a_chain_shows_the_cause() -> None:
    error = ValueError("outer")
    error.__cause__ = KeyError("inner")

    assert "KeyError: 'inner'" in (describe_failure(error).traceback or "")


def test_describe_failure_when_str_raises_still_describes() -> None:
    assert describe_failure(Unprintable()).message == "(its message cannot be shown)"


def test_describe_failure_with_lone_surrogates_can_travel() -> None:
    described = describe_failure(_raised(ValueError("bad \udcff name")))

    assert described.message == "bad \\udcff name"
    assert (described.traceback or "").encode()


def test_describe_failure_of_long_texts_is_cut_and_keeps_the_end_of_the_traceback() -> None:
    described = describe_failure(ValueError("x" * 100_000 + "END"))

    assert len(described.message) == ERROR_TEXT_CHARS_MAX
    assert len(described.traceback or "") == ERROR_TEXT_CHARS_MAX
    assert (described.traceback or "").endswith("END\n")


@pytest.mark.parametrize(
    "given", ["out of stamps", JobError(type="Error", message="out of stamps")]
)
def test_describe_failure_of_a_text_or_description_keeps_it(given: str | JobError) -> None:
    assert describe_failure(given) == JobError(type="Error", message="out of stamps")
