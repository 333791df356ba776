"""Hypothesis settings of all tests, and the servers that they can ask for.

No deadlines: the machines that run the tests are shared. No explaining of failures: it traces
every line, and a failing state machine would run into the time-out instead of being reported.

gRPC leaves forks alone: tests start processes in the middle of calls.
"""

from hypothesis import HealthCheck, Phase, settings

from osqueue.forks import keep_grpc_out

keep_grpc_out()

pytest_plugins = ["tests.integration.servers.fixtures", "tests.spread"]

for profile in ("default", "ci"):
    settings.register_profile(
        profile,
        deadline=None,
        max_examples=100,
        phases=[phase for phase in Phase if phase is not Phase.explain],
        report_multiple_bugs=False,
        suppress_health_check=[HealthCheck.too_slow],
    )
settings.load_profile("default")
