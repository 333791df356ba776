"""Connect, gRPC-Web and gRPC: one table of methods, served by three protocols."""
