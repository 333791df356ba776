"""What becomes of this process's forks where it speaks gRPC.

gRPC would go on in a forked process. Where calls are under way it can't, and some of its threads
start there all the same: they take the fork down by a fault of memory before it has come to
anything. uvloop starts every subprocess by a fork, so of those that a busy program started a fifth
died at once (grpcio 1.85). Told not to care for forks, gRPC leaves them alone.
"""

from __future__ import annotations

import os
from typing import Final

__all__ = ["keep_grpc_out"]

_SUPPORT: Final = "GRPC_ENABLE_FORK_SUPPORT"


def keep_grpc_out() -> None:
    """Have gRPC leave forks alone, unless the environment says otherwise.

    It asks once, when it is imported: whoever has imported it before has to say so himself.
    """
    os.environ.setdefault(_SUPPORT, "0")
