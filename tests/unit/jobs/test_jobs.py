"""Jobs and their handlers: what is defined, what is refused, what a worker is told."""

from __future__ import annotations

import functools
from typing import Any

import pytest
from tests.unit.jobs.payloads import Line, Order, Point, Report, SendEmail

from osqueue.client import Job, OsqueueClient, SyncOsqueueClient
from osqueue.errors import ConfigError, PayloadValidationError
from osqueue.jobs import Backoff, Jobs, JobType, Registry, TypedJob
from osqueue.worker import CallNext, JobContext


async def send_email(email: SendEmail) -> None: ...
def send_again(email: SendEmail) -> None: ...
def make(report: Report, ctx: JobContext) -> int:
    return report.month + ctx.attempt


class Connection:
    """What no JSON can hold."""


def unsaid(email, ctx):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201
    return email, ctx


def shared() -> Registry:
    return Registry(
        {
            "email:send": JobType(SendEmail, max_attempts=5, timeout=30),
            "report:make": "tests.unit.jobs.payloads:Report",
            "report:named": JobType(Report, handler="tests.unit.jobs.test_jobs:make"),
            "point": Point,
        }
    )


def test_job_when_a_handler_is_defined_then_the_worker_is_told_all_of_it() -> None:
    jobs = Jobs()
    job = jobs.job("report:make", timeout=3, executor="process", concurrency=2, keep_result=True)(
        make
    )
    spec = jobs.handlers()["report:make"]
    assert (spec.function, spec.timeout_s) == (make, 3)
    assert (spec.executor, spec.concurrency) == ("process", 2)
    assert spec.schema is not None
    assert spec.schema.type is Report
    assert spec.result is not None
    assert spec.result.type is int
    assert job.spec == spec


def test_job_when_defined_then_it_is_still_the_function() -> None:
    job = Jobs().job("email:send")(send_again)
    assert isinstance(job, TypedJob)
    assert job.__wrapped__ is send_again
    assert (job.__name__, job.name) == ("send_again", "email:send")
    assert job(SendEmail(to="a")) is None
    assert repr(job) == "<job 'email:send'>"


async def test_job_when_its_handler_is_async_then_it_is_awaited_as_before() -> None:
    assert await Jobs().job("email:send")(send_email)(SendEmail(to="a")) is None  # type: ignore[func-returns-value]


def test_job_when_any_json_will_do_then_it_has_no_schema() -> None:
    def anything(_payload: Any) -> None: ...

    jobs = Jobs()
    job = jobs.job("anything")(anything)
    assert jobs.handlers()["anything"].schema is None
    assert job.new({"a": 1}).payload == {"a": 1}
    assert job.new(a=1).payload == {"a": 1}
    assert job.new(None).payload is None
    assert job.new().payload is None


def test_job_when_nothing_says_what_it_takes_then_config_error_says_where() -> None:
    with pytest.raises(ConfigError, match=r"test_jobs\.unsaid .*must say what its payload is"):
        Jobs().job("a")(unsaid)


def test_job_when_the_annotation_means_nothing_then_config_error_says_what_helps() -> None:
    def unknown(_email: Nowhere) -> None: ...  # type: ignore[name-defined] # noqa: F821

    with pytest.raises(ConfigError, match=r"'Nowhere' is not defined; import .* @jobs\.job\('a'"):
        Jobs().job("a")(unknown)
    assert Jobs().job("a", SendEmail)(unknown).new(to="a").type == "a"


def test_job_when_the_class_is_handed_in_then_the_handler_need_not_say_it() -> None:
    jobs = Jobs()
    jobs.job("a", SendEmail)(unsaid)
    schema = jobs.handlers()["a"].schema
    assert schema is not None
    assert schema.type is SendEmail


def test_job_when_the_handler_says_another_class_then_config_error_names_both() -> None:
    wrong: Any = make
    with pytest.raises(ConfigError, match=r"takes .*:Report, but it was given .*:SendEmail"):
        Jobs().job("a", SendEmail)(wrong)


def test_job_when_the_handler_takes_the_parent_then_it_fits() -> None:
    class Urgent(SendEmail):
        deadline: int = 0

    assert Jobs().job("a", Urgent)(send_email).new(to="a", deadline=3).type == "a"


def test_job_when_used_without_a_name_then_config_error_shows_how() -> None:
    wrong: Any = send_email
    with pytest.raises(ConfigError, match=r"named by a string .* write @jobs\.job\('email:send'\)"):
        Jobs().job(wrong)


def test_job_when_an_option_is_misspelt_then_config_error() -> None:
    options: Any = {"time_out": 3}
    with pytest.raises(ConfigError, match="no option 'time_out'; did you mean 'timeout'"):
        Jobs().job("a", **options)


def test_job_when_a_type_has_two_handlers_then_config_error_names_both_at_once() -> None:
    jobs = Jobs()
    jobs.job("email:send")(send_email)
    with pytest.raises(ConfigError, match=r"has two handlers, .*\.send_email .*\.send_again"):
        jobs.job("email:send")(send_again)
    assert jobs.handlers()["email:send"].function is send_email


def loaded_as(name: str, file: str, *, line: int = 1) -> Any:
    """The handler of a module that was loaded under this name."""
    module: dict[str, Any] = {"__name__": name, "SendEmail": SendEmail}
    text = "\n" * (line - 1) + "async def send(email: SendEmail): ..."
    exec(compile(text, file, "exec"), module)
    return module["send"]


def test_job_when_its_module_is_loaded_twice_then_config_error_says_so() -> None:
    jobs = Jobs()
    jobs.job("a")(loaded_as("myapp.jobs", __file__))
    with pytest.raises(ConfigError, match=r"myapp\.jobs\.send .*__main__\.send .*loaded twice"):
        jobs.job("a")(loaded_as("__main__", __file__))


def test_job_when_its_module_is_reloaded_then_it_is_defined_anew() -> None:
    jobs = Jobs()
    jobs.job("a", max_attempts=1)(loaded_as("myapp.jobs", __file__))
    again = loaded_as("myapp.jobs", __file__)
    assert jobs.job("a", max_attempts=2)(again).new(to="b").max_attempts == 2
    assert jobs.handlers()["a"].function is again


def test_job_when_a_file_defines_two_functions_of_a_name_then_config_error() -> None:
    jobs = Jobs()
    jobs.job("a")(loaded_as("myapp.jobs", __file__))
    with pytest.raises(ConfigError, match="two handlers"):
        jobs.job("a")(loaded_as("myapp.jobs", __file__, line=9))


def test_job_when_a_cell_of_a_notebook_runs_again_then_it_is_defined_anew() -> None:
    jobs = Jobs()
    jobs.job("a")(loaded_as("__main__", "<cell 1>"))
    again = loaded_as("__main__", "<cell 1, changed>", line=5)
    jobs.job("a")(again)
    assert jobs.handlers()["a"].function is again


def test_job_when_the_handler_is_a_method_or_a_partial_then_it_is_one() -> None:
    class Mailer:
        def send(self, email: SendEmail) -> str:
            return email.to

    def send_by(_mailer: Mailer, email: SendEmail) -> str:
        return email.to

    jobs = Jobs()
    assert jobs.job("a")(Mailer().send)(SendEmail(to="x")) == "x"
    assert jobs.job("b")(functools.partial(send_by, Mailer()))(SendEmail(to="y")) == "y"


def test_job_when_a_function_makes_its_handler_twice_then_config_error() -> None:
    jobs = Jobs()

    def define() -> None:
        @jobs.job("a")
        async def handle(_email: SendEmail) -> None: ...

    define()
    with pytest.raises(ConfigError, match="two handlers"):
        define()


def test_job_when_two_objects_handle_it_then_config_error() -> None:
    class Mailer:
        def send(self, _email: SendEmail) -> None: ...

    jobs, mailer = Jobs(), Mailer()
    jobs.job("a")(mailer.send)
    jobs.job("a")(mailer.send)
    with pytest.raises(ConfigError, match="two handlers"):
        jobs.job("a")(Mailer().send)


def test_job_when_the_handler_is_an_object_then_its_attributes_stay_its_own() -> None:
    class Mailer:
        def __init__(self) -> None:
            self.new = self.options = "its own"

        def __call__(self, email: SendEmail) -> str:
            return email.to

    assert Jobs().job("a")(Mailer()).options(priority=1).new(to="x").priority == 1


def test_job_when_an_async_handler_shall_run_in_a_thread_then_config_error() -> None:
    with pytest.raises(ConfigError, match="is async, and runs on the loop: leave executor='thr"):
        Jobs().job("a", executor="thread")(send_email)


def test_handlers_when_there_can_be_no_schema_then_config_error_at_once() -> None:
    def odd(_payload: Connection) -> None: ...

    jobs = Jobs()
    jobs.job("odd")(odd)
    with pytest.raises(ConfigError, match="the payload of 'odd' cannot be a Connection"):
        jobs.handlers()


def test_handlers_when_a_result_cannot_be_kept_and_need_not_then_nothing_is_said_of_it() -> None:
    def connect(_email: SendEmail) -> Connection:
        return Connection()

    jobs = Jobs()
    jobs.job("connect")(connect)
    assert jobs.handlers()["connect"].result is None


def test_handlers_when_a_result_cannot_be_kept_and_shall_be_then_config_error() -> None:
    def connect(_email: SendEmail) -> Connection:
        return Connection()

    jobs = Jobs()
    jobs.job("connect", keep_result=True)(connect)
    with pytest.raises(ConfigError, match="the result of 'connect' cannot be a Connection"):
        jobs.handlers()


def test_registry_when_shared_then_the_type_is_its() -> None:
    jobs = Jobs(shared())
    job = jobs.job("email:send", concurrency=2)(send_email)
    assert (job.new(to="a").max_attempts, job.new(to="a").timeout_ms) == (5, 30_000)
    spec = jobs.handlers()["email:send"]
    assert (spec.function, spec.concurrency, spec.timeout_s) == (send_email, 2, 30)


def test_registry_when_shared_then_its_own_handlers_are_there_as_well() -> None:
    jobs = Jobs(shared())
    jobs.job("email:send")(send_email)
    assert jobs.handlers()["report:named"].function == "tests.unit.jobs.test_jobs:make"
    assert set(jobs.handlers()) == {"email:send", "report:named"}


def test_registry_when_shared_then_a_named_class_fits_without_being_imported() -> None:
    job = Jobs(shared()).job("report:make")(make)
    assert job.new(Report(7)).type == "report:make"
    result = job.spec.result
    assert result is not None
    assert result.type is int


def test_registry_when_shared_then_a_type_that_it_has_not_is_refused() -> None:
    with pytest.raises(ConfigError, match="no job type 'email:sent' in the registry; did you mean"):
        Jobs(shared()).job("email:sent")(send_email)


def test_registry_when_shared_then_what_travels_is_said_there() -> None:
    jobs = Jobs(shared())
    with pytest.raises(ConfigError, match="retry, timeout of 'email:send' must be said in the reg"):
        jobs.job("email:send", timeout=3, retry=Backoff())(send_email)


def test_registry_when_shared_then_another_class_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"takes .*:SendEmail, but the registry says .*:Point"):
        Jobs(shared()).job("point")(send_email)


def test_registry_when_shared_then_a_typed_dict_fits_itself_alone() -> None:
    def price(_line: Line) -> None: ...

    def ship(_order: Order) -> None: ...

    registry = Registry({"line": Line, "order": Line})
    Jobs(registry).job("line")(price)
    with pytest.raises(ConfigError, match=r"takes .*:Order, but the registry says .*:Line"):
        Jobs(registry).job("order")(ship)


def test_registry_when_it_names_the_handler_then_another_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"two handlers, tests\.unit\.jobs\.test_jobs:make and"):
        Jobs(shared()).job("report:named")(lambda _report: None)


def test_registry_when_it_names_the_handler_then_that_may_be_defined() -> None:
    jobs = Jobs(shared())
    jobs.job("report:named")(make)
    assert jobs.handlers()["report:named"].function is make


def test_middleware_when_it_is_async_then_the_first_is_the_outermost() -> None:
    jobs = Jobs()

    @jobs.middleware
    async def outer(_ctx: JobContext, call_next: CallNext) -> Any:
        return await call_next()

    class Inner:
        async def __call__(self, _ctx: JobContext, call_next: CallNext) -> Any:
            return await call_next()

    inner = jobs.middleware(Inner())
    assert jobs.middlewares == (outer, inner)


def test_middleware_when_it_is_plain_then_config_error() -> None:
    def plain(_ctx: JobContext, _call_next: CallNext) -> Any: ...

    with pytest.raises(ConfigError, match=r"a middleware is .* not tests\.unit.*plain"):
        Jobs().middleware(plain)


def test_callbacks_when_given_then_all_of_them_are_told_in_order() -> None:
    jobs = Jobs()
    seen: list[str] = []

    @jobs.on_job_claimed
    def claimed(job: Job) -> None:
        seen.append(job.job_id)

    @jobs.on_job_completed
    async def completed(job: Job) -> None:
        seen.append(job.job_id)

    @jobs.on_job_failed
    def failed(_job: Job, error: BaseException) -> None:
        seen.append(str(error))

    assert jobs.on_job_failed(failed) is failed
    callbacks = jobs.callbacks
    assert (callbacks.claimed, callbacks.completed) == ((claimed,), (completed,))
    assert callbacks.failed == (failed, failed)


def test_callback_when_it_is_no_function_then_config_error() -> None:
    wrong: Any = 7
    with pytest.raises(ConfigError, match="a job is claimed must be a function"):
        Jobs().on_job_claimed(wrong)


async def test_use_when_the_client_is_a_plain_one_then_config_error_says_what_to_do() -> None:
    plain: Any = SyncOsqueueClient("http://127.0.0.1:1")
    with plain, pytest.raises(ConfigError, match=r"client\.submit\(send_email\.new\(…\)\)"):
        Jobs().use(plain)


async def test_using_when_left_then_the_client_before_it_is_used() -> None:
    jobs = Jobs()
    job = jobs.job("email:send")(send_email)
    async with OsqueueClient("http://127.0.0.1:1") as client:
        with jobs.using(client):
            pass
    with pytest.raises(ConfigError, match=r"no client to submit by: call jobs\.use\(client\)"):
        await job.submit(to="a")
    with pytest.raises(PayloadValidationError):  # that is known without a client
        await job.submit(too="a")


def test_repr_when_there_are_jobs_then_names_them() -> None:
    jobs = Jobs()
    assert repr(jobs) == "<Jobs none>"
    jobs.job("email:send")(send_email)
    assert repr(jobs) == "<Jobs email:send>"
