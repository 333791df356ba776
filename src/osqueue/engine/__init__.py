"""Group commit and leadership: pure machines, and the runners that perform what they ask for."""
