"""The demo: real brokers, real workers, real work, and a check of what came out."""
