"""The contract between clients and brokers: messages, and errors by status."""
