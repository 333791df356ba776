"""Object stores: the protocol, and the stores that keep it."""
