"""The processes that run the queue: brokers, and those who share it without one."""
