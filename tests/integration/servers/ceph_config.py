"""How the Ceph cluster of the tests is set up: all that a cluster on one machine needs otherwise.

Nobody else reaches it, so it has no keys. Its three disks are files that grow as they are filled.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from pathlib import Path

from tests.integration.servers.process import HOST

__all__ = ["MONITOR", "OSDS", "config_text"]

MONITOR = "a"
OSDS = range(3)

GLOBAL = """\
[global]
fsid = {fsid}
mon host = [v2:{host}:{monitor_port}]
mon initial members = {monitor}
public addr = {host}
cluster addr = {host}
auth cluster required = none
auth service required = none
auth client required = none
# gateways ask for encryption by default, and without keys there is none
ms mon client mode = crc
# the daemons are watched as processes, and each one's stderr is its log
log file =
log to stderr = true
mon cluster log to file = false
crash dir = {place}
pid file =
admin socket =
# three copies, all on this machine, of which two suffice
osd pool default size = 3
osd pool default min size = 2
osd crush chooseleaf type = 0
# few and fixed placement groups: creating them is most of the start-up
osd pool default pg num = 4
osd pool default pgp num = 4
osd pool default pg autoscale mode = off
mon max pg per osd = 1000
# decide at once; the default gathers changes for a second
paxos propose interval = 0.05
# a disk that is nearly full stops a cluster, but not one that keeps a few megabytes
mon data avail warn = 2
mon data avail crit = 1

[mon]
mon data = {place}/mon.$id

[mgr]
mgr data = {place}/mgr.$id
mgr initial modules =

[osd]
osd data = {place}/osd.$id
osd objectstore = bluestore
bluestore block size = 4294967296
# without this each takes gigabytes
bluestore cache autotune = false
bluestore cache size = 67108864
# notice sooner that another one is dead
osd heartbeat interval = 2
osd heartbeat grace = 8
# gateways tell each other of changes, and wait this long for one that was killed
osd client watch timeout = 10

[client]
rgw thread pool size = 64
rgw enable usage log = false
rgw dynamic resharding = false
rgw override bucket index max shards = 1
"""

GATEWAY = """
[client.rgw.{number}]
# or an answer waits 40 ms for the acknowledgement of the packet before it
rgw frontends = beast endpoint={host}:{port} tcp_nodelay=1
"""


def config_text(place: Path, *, monitor_port: int, gateway_ports: Sequence[int]) -> str:
    """The configuration file of a new cluster whose files are in ``place``."""
    cluster = GLOBAL.format(
        fsid=uuid.uuid4(),  # noqa: TID251 - Ceph wants one
        host=HOST,
        place=place,
        monitor=MONITOR,
        monitor_port=monitor_port,
    )
    gateways = [
        GATEWAY.format(number=number, host=HOST, port=port)
        for number, port in enumerate(gateway_ports)
    ]
    return "".join([cluster, *gateways])
