"""Runs the whole system in one process: one seed, a time of its own, and a hostile world.

`plan_of` makes a plan of a seed, `simulate` runs it. The brokers, clients and workers in it are the
real ones; only time, chance, the network and the object store are simulated, and each of them
misbehaves as the plan says. The laws that must hold all the while are in `line` (of every version
of the state object), `answers` (of what anybody is told) and `checks`.
"""

from __future__ import annotations

from osqueue.testing.simulation.disturbances import Disturbance, Kind
from osqueue.testing.simulation.laws import BrokenLawError
from osqueue.testing.simulation.world import Plan, Report, plan_of, simulate

__all__ = ["BrokenLawError", "Disturbance", "Kind", "Plan", "Report", "plan_of", "simulate"]
