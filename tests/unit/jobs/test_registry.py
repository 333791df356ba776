"""A registry: types by name and by the class of their payloads, and jobs that are checked."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import pytest
from msgspec import UNSET
from tests.unit.jobs import payloads
from tests.unit.jobs.payloads import Box, Crate, Point, Report, Resize, SendEmail

from osqueue.client import RetryPolicy
from osqueue.errors import ConfigError, PayloadValidationError
from osqueue.jobs import Backoff, CheckedJob, Jobs, JobType, NewJob, Registry

NAMED = "tests.unit.jobs.payloads:Report"


def registry() -> Registry:
    retry = Backoff(base=5)
    return Registry(
        {
            "email:send": JobType(
                SendEmail, max_attempts=5, timeout=30, retry=retry, keep_result=True
            ),
            "report:generate": NAMED,
            "anything": Any,
            "nothing": None,
        }
    )


def test_registry_when_looked_at_then_it_tells_its_types() -> None:
    types = registry()
    assert list(types) == ["email:send", "report:generate", "anything", "nothing"]
    assert len(types) == 4
    assert "email:send" in types
    assert "email:sent" not in types
    assert repr(types) == "<Registry of email:send, report:generate, anything, nothing>"
    assert types.get("email:sent") is None


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("", "a job type needs a name"),
        ("x" * 257, "at most 256 characters, and 'xxx"),
        ("a\nb", "printable"),
        ("\ud800", "printable"),
        (7, "named by a string"),
    ],
)
def test_name_when_no_broker_would_take_it_then_config_error(name: Any, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        Registry({name: SendEmail})


def test_name_when_it_is_as_long_as_it_may_be_then_it_is_taken() -> None:
    assert len(Registry({"x" * 256: SendEmail})) == 1


def test_add_when_the_name_is_taken_then_config_error() -> None:
    with pytest.raises(ConfigError, match="'email:send' is in the registry twice"):
        registry().add("email:send", Report)


def test_handler_when_it_is_named_badly_then_config_error_at_once() -> None:
    with pytest.raises(ConfigError, match="the handler of 'a' must be named"):
        Registry({"a": JobType(SendEmail, handler="not a name")})


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("email:sned", "did you mean 'email:send'?"),
        ("xyz", "it has 'email:send', 'report:generate'"),
    ],
)
def test_type_when_there_is_none_of_the_name_then_config_error_helps(name: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        registry()[name]
    with pytest.raises(ConfigError, match="which is empty"):
        Registry()[name]


def test_of_when_given_what_is_or_has_one_then_that() -> None:
    types, jobs = registry(), Jobs()
    assert Registry.of(types) is types
    assert Registry.of(jobs) is jobs.registry
    assert list(Registry.of({"a": SendEmail})) == ["a"]
    wrong: Any = [SendEmail]
    with pytest.raises(ConfigError, match="a registry is a Registry, a Jobs or a mapping"):
        Registry.of(wrong)


def test_new_when_the_payload_fits_then_the_job_has_what_its_type_says() -> None:
    job = registry().new(SendEmail(to="a"), priority=3)
    assert (job.type, bytes(job.payload)) == ("email:send", b'{"to":"a","subject":"hello"}')
    assert (job.max_attempts, job.timeout_ms, job.keep_result) == (5, 30_000, True)
    assert (job.retry, job.priority) == (Backoff(base=5), 3)


def test_new_when_the_call_says_otherwise_then_the_call_wins() -> None:
    policy = RetryPolicy(base_ms=7)
    job = registry().new(
        SendEmail(to="a"), max_attempts=1, timeout_ms=5, keep_result=False, retry=policy
    )
    assert (job.max_attempts, job.timeout_ms, job.keep_result) == (1, 5, False)
    assert job.retry == policy


def test_checked_when_the_type_is_not_known_then_the_job_stays_as_it_is() -> None:
    job = NewJob("other", {"any": "thing"})
    assert registry().checked(job) is job


def test_checked_when_the_registry_is_closed_then_another_type_is_refused() -> None:
    closed = Registry({"email:send": SendEmail}, closed=True)
    with pytest.raises(ConfigError, match=r"no job type 'email:sned' .* did you mean 'email:send'"):
        closed.checked(NewJob("email:sned", {"to": "a"}))
    with pytest.raises(ConfigError, match="no job type ''"):
        closed.checked(NewJob(""))
    assert closed.checked(NewJob("email:send", {"to": "a"})).type == "email:send"


def test_checked_when_the_job_has_been_then_it_is_not_again() -> None:
    job = registry().new(SendEmail(to="a"))
    assert registry().checked(job) is job


def test_checked_when_the_payload_does_not_fit_then_refused() -> None:
    with pytest.raises(PayloadValidationError, match="the payload of 'email:send' does not fit"):
        registry().checked(NewJob("email:send", {"to": 3}))


def test_checked_when_any_json_will_do_then_the_payload_stays() -> None:
    job = registry().checked(NewJob("anything", {"a": 1}))
    assert job.payload == {"a": 1}
    assert isinstance(job, CheckedJob)


def test_checked_when_the_type_has_no_payload_then_only_none_fits() -> None:
    assert bytes(registry().checked(NewJob("nothing")).payload) == b"null"
    with pytest.raises(PayloadValidationError):
        registry().checked(NewJob("nothing", {}))


def test_type_of_when_the_class_is_registered_then_its_type() -> None:
    types = Registry(
        {
            "box": Box[int],
            "crate": Crate[int],
            "point": Point,
            "resize": Annotated[Resize, "large"],
            "either": Report | None,
        }
    )
    assert types.type_of(Box[int](inside=1)).name == "box"
    assert types.type_of(Crate[int](1)).name == "crate"
    assert types.type_of(Crate(1)).name == "crate"
    assert types.type_of(Point(1)).name == "point"
    assert types.type_of(Resize(1)).name == "resize"


def test_type_of_when_a_generic_object_says_of_what_then_that_counts() -> None:
    types = Registry({"numbers": Crate[int], "texts": Crate[str]})
    assert types.type_of(Crate[str]("a")).name == "texts"
    with pytest.raises(ConfigError, match="is the payload of numbers, texts"):
        types.type_of(Crate("a"))


def test_type_of_when_the_class_is_pythons_own_then_it_tells_nothing() -> None:
    types = Registry({"text": str, "numbers": list[int], "nothing": None})
    for payload in ("a", [1], None):
        with pytest.raises(ConfigError, match="say which type it is"):
            types.type_of(payload)


def test_type_of_when_the_class_is_named_then_it_is_found_by_importing() -> None:
    assert registry().type_of(Report(7)).name == "report:generate"


def test_type_of_when_the_class_has_two_names_then_config_error_tells_them() -> None:
    types = Registry({"now": SendEmail, "later": "tests.unit.jobs.payloads:SendEmail"})
    with pytest.raises(ConfigError, match=r"is the payload of now, later: .*submit_job\('now'"):
        types.type_of(SendEmail(to="a"))
    assert types.checked(NewJob("later", SendEmail(to="a"))).type == "later"


def test_type_of_when_the_class_is_not_registered_then_config_error_tells_what_is() -> None:
    with pytest.raises(ConfigError, match=r"payloads of .*:Point; it has those of .*:SendEmail"):
        Registry({"email:send": SendEmail}).type_of(Point(1))
    with pytest.raises(
        ConfigError, match=r"payloads of builtins:dict: say which type it is, submit_job"
    ):
        registry().type_of({"to": "a"})


def test_type_of_when_only_its_parent_is_registered_then_config_error_says_what_is_lost() -> None:
    class Urgent(SendEmail):
        deadline: int = 0

    with pytest.raises(ConfigError, match=r"inherits from .*:SendEmail, but what it adds"):
        registry().type_of(Urgent(to="a"))


def test_type_of_when_the_module_was_loaded_twice_then_config_error_says_so() -> None:
    as_program: dict[str, Any] = {"__name__": "__main__"}
    source = Path(payloads.__file__).read_text()
    exec(compile(source, payloads.__file__, "exec"), as_program)
    with pytest.raises(ConfigError, match=r"payloads of __main__:Report, but those of .*twice"):
        Registry({"report": Report}).type_of(as_program["Report"](7))


def test_type_of_when_others_cannot_be_imported_then_config_error_names_them() -> None:
    types = Registry({"broken": "no.such.module:Payload"})
    with pytest.raises(ConfigError, match="broken could not be imported"):
        types.type_of(SendEmail(to="a"))


def test_type_of_when_others_cannot_be_imported_then_the_rest_is_found() -> None:
    types = Registry({"broken": "no.such.module:Payload", "report": NAMED})
    assert types.type_of(Report(1)).name == "report"


def test_remove_when_the_type_is_defined_anew_then_the_new_class_counts() -> None:
    types = Registry({"a": SendEmail, "b": NAMED})
    types.remove("a")
    types.remove("b")
    types.add("a", Report)
    assert types.type_of(Report(1)).name == "a"
    with pytest.raises(ConfigError):
        types.type_of(SendEmail(to="a"))


def test_handlers_when_they_are_named_then_they_are_told_and_not_imported() -> None:
    types = Registry(
        {
            "a": JobType(
                NAMED,
                handler="no.such.module:handle",
                timeout=3,
                executor="process",
                concurrency=2,
                result=int,
            ),
            "b": SendEmail,
        }
    )
    (spec,) = types.handlers().values()
    assert spec.function == "no.such.module:handle"
    assert (spec.timeout_s, spec.executor, spec.concurrency) == (3, "process", 2)
    assert spec.schema is not None
    assert spec.schema.decode(b'{"month": 7}') == Report(7)
    assert spec.result is not None
    assert bytes(spec.result.encode(7)) == b"7"


def test_handlers_when_one_is_a_function_then_it_is_looked_at() -> None:
    def takes_three(_a: int, _b: int, _c: int) -> None: ...

    with pytest.raises(ConfigError, match=r"must take \(payload\) or \(payload, ctx\)"):
        Registry({"a": JobType(SendEmail, handler=takes_three)}).handlers()


def test_result_when_nothing_is_said_of_it_then_it_is_any_json() -> None:
    assert JobType(SendEmail).result is UNSET
    assert registry()["email:send"].result is None
