"""A producer and a worker that share a registry of job types, and nothing else.

- `registry`: the names of the jobs, and what they carry; both sides import it,
- `handlers`: what the worker does; the producer never imports it, nor what it imports,
- `producer`: submits jobs, and waits for what one of them brings.
"""
