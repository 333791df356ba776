"""A Ceph cluster on this machine: a real distributed store that can be hurt.

One monitor, one manager, three OSDs that keep a copy of everything each, and two gateways that
speak S3, all of them processes of ours with their files in one temporary directory. Nothing
acknowledged may be lost as long as two OSDs' files are there, whoever is killed.
"""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.integration.servers.ceph_config import MONITOR, OSDS, config_text
from tests.integration.servers.install import require
from tests.integration.servers.process import HOST, Process, answers_http, free_port, wait_until
from tests.integration.servers.s3 import ACCESS_KEY, SECRET_KEY, make_bucket, s3_url

__all__ = ["START_S_MAX", "Ceph", "ceph"]

START_S_MAX = 180
"""How long the cluster may take to come up. On two idle cores it takes about 10 s."""

COMMAND_S_MAX = 60

DIALECT = {"etag": "unquoted"}
"""This Ceph compares ``If-Match`` with an ETag that has no quotes around it."""


class Ceph:
    """A cluster in ``place``, an empty directory. `start` it, and `stop` it whatever happens."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._config = place / "ceph.conf"
        self._monitor_port = free_port()
        self.gateway_ports = (free_port(), free_port())
        commands = {
            "mon": ("ceph-mon", "--id", MONITOR),
            "mgr": ("ceph-mgr", "--id", "x"),
            **{f"osd.{n}": ("ceph-osd", "--id", str(n)) for n in OSDS},
            **{f"rgw.{n}": ("radosgw", "--name", f"client.rgw.{n}") for n in (0, 1)},
        }
        self._daemons = {name: self._daemon(name, *commands[name]) for name in commands}

    def new_stores(self) -> tuple[str, ...]:
        """The URLs of stores on one new bucket, through each gateway."""
        bucket = make_bucket(self.gateway_ports[0])
        return tuple(s3_url(bucket, port, DIALECT) for port in self.gateway_ports)

    def new_store(self) -> str:
        """The URL of a store on a new bucket."""
        return self.new_stores()[0]

    def kill_osd(self, number: int) -> None:
        self._daemons[f"osd.{number}"].kill()

    def kill_gateway(self, number: int) -> None:
        self._daemons[f"rgw.{number}"].kill()

    def kill_all(self) -> None:
        """As a power failure does: all at once, before any of them can notice."""
        for daemon in self._daemons.values():
            daemon.kill()

    def restart_dead(self) -> None:
        """Start again what does not run, and wait until the whole cluster works."""
        for daemon in self._daemons.values():
            if not daemon.running:
                daemon.start()
        self._wait_until_up()

    def start(self) -> None:
        self._config.write_text(
            config_text(
                self._place, monitor_port=self._monitor_port, gateway_ports=self.gateway_ports
            )
        )
        self._start_monitor()
        self._daemons["mgr"].start()
        self._start_osds()
        self._make_user()
        self.restart_dead()

    def stop(self) -> None:
        """What it kept is thrown away, so there is nothing to end in good order."""
        self.kill_all()

    def _daemon(self, name: str, *command: str) -> Process:
        """One that stays in the foreground, so that it is our child."""
        options = ("--conf", str(self._config), "-f")
        log = self._place / f"{name}.log"
        return Process([*command, *options], log=log, cwd=self._place)

    def _start_monitor(self) -> None:
        address = f"[v2:{HOST}:{self._monitor_port}]"
        self._run("monmaptool", "--create", "--addv", MONITOR, address, "monmap")
        (self._place / f"mon.{MONITOR}").mkdir()
        self._run("ceph-mon", "--mkfs", "--id", MONITOR, "--monmap", "monmap")
        self._daemons["mon"].start()

    def _start_osds(self) -> None:
        for number in OSDS:
            (self._place / f"osd.{number}").mkdir()
            disk = str(uuid.uuid4())  # noqa: TID251 - Ceph wants one
            self._run("ceph", "osd", "new", disk, str(number))
            self._run("ceph-osd", "--mkfs", "--id", str(number), "--osd-uuid", disk)
            self._daemons[f"osd.{number}"].start()

    def _make_user(self) -> None:
        user = ("--uid", "test", "--display-name", "test")
        keys = ("--access-key", ACCESS_KEY, "--secret-key", SECRET_KEY)
        self._run("radosgw-admin", "user", "create", *user, *keys)

    def _wait_until_up(self) -> None:
        wait_until(self._osds_are_up, timeout_s=START_S_MAX)
        for number, port in enumerate(self.gateway_ports):
            gateway = self._daemons[f"rgw.{number}"]
            gateway.wait_until(partial(answers_http, port), timeout_s=START_S_MAX)

    def _osds_are_up(self) -> bool:
        found = json.loads(self._run("ceph", "osd", "stat", "--format", "json"))
        return bool(found["num_up_osds"] == len(OSDS))

    def _run(self, *command: str) -> str:
        """A command's output. Raises `RuntimeError` with what it said when it fails."""
        done = subprocess.run(
            [*command, "--conf", str(self._config)],
            cwd=self._place,
            capture_output=True,
            text=True,
            timeout=COMMAND_S_MAX,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"`{' '.join(command)}` failed: {done.stderr}")
        return done.stdout


@contextmanager
def ceph() -> Iterator[Ceph]:
    """A cluster that works, inside. Raises `MissingServerError`."""
    require("ceph-mon", "ceph-mgr", "ceph-osd", "ceph", "monmaptool", "radosgw", "radosgw-admin")
    with TemporaryDirectory(prefix="osqueue-ceph-", ignore_cleanup_errors=True) as place:
        cluster = Ceph(Path(place))
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.stop()
