"""A queue in one process, with no server."""
