"""The demo: a real broker, real workers, real work, and a check of what came out."""
