"""Runs the whole system in one process: one seed, a time of its own, and a hostile world.

`plan_of` makes a plan of a seed, `simulate` runs it. The brokers, clients and workers in it are the
real ones; only time, chance, the network and the object store are simulated, and each of them
misbehaves as the plan says. What stands in the one package rests on those before it:

- `machine`: time, chance, the network, the object store, and processes that can die;
- `laws`: what must hold all the while, of every version of the state object (`line`), of what
  anybody is told (`answers`), and of callers;
- `users` and `hosts`: those who use the queue, and the brokers that run it;
- `faults`: what goes wrong;
- `world`: all of it together, with `checks` and `buffers`, which look on.
"""

from __future__ import annotations

from osqueue.testing.simulation.faults.disturbances import Disturbance, Kind
from osqueue.testing.simulation.laws.law import BrokenLawError
from osqueue.testing.simulation.plan import Plan, plan_of
from osqueue.testing.simulation.world import Report, simulate

__all__ = ["BrokenLawError", "Disturbance", "Kind", "Plan", "Report", "plan_of", "simulate"]
