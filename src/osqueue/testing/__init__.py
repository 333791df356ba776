"""For tests of programs that use osqueue, and of stores made for it. Imports no test framework."""

from osqueue.testing.faulty_store import Fault, Happened, ScriptedStore, Step
from osqueue.testing.store_contract import StoreContract

__all__ = ["Fault", "Happened", "ScriptedStore", "Step", "StoreContract"]
