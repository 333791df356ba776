"""The simulated loop notices what nobody waits for."""

from __future__ import annotations

from osqueue.testing.simulation.machine.dice import Dice
from osqueue.testing.simulation.machine.loop import Life, SimulatedLoop


def test_process_when_its_main_function_fails_then_that_is_told() -> None:
    async def main() -> None:
        raise RuntimeError("it broke")

    loop = SimulatedLoop(Dice(1))  # type: ignore[abstract]
    loop.begin(Life("one"), main)
    loop.outside(lambda: None, after_s=2)
    loop.run(until_s=1)
    assert loop.faults == ["a process failed: RuntimeError('it broke')"]
    loop.close()
