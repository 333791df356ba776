"""Those who use the queue of a simulated world, each in a process with a real client or worker."""
