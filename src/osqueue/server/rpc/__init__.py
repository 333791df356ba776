"""Connect, gRPC-Web and gRPC: one table of methods, served by three protocols."""

from osqueue.forks import keep_grpc_out

keep_grpc_out()
