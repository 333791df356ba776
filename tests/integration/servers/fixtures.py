"""The servers as pytest fixtures: each is started when the first test wants it, once a session.

A test that uses `azurite` or `ceph`, which PyPI does not have, is marked `external`.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.integration.servers.azurite import Azurite
from tests.integration.servers.azurite import azurite as run_azurite
from tests.integration.servers.ceph import Ceph
from tests.integration.servers.ceph import ceph as run_ceph
from tests.integration.servers.fake_gcs import FakeGCS
from tests.integration.servers.fake_gcs import fake_gcs as run_fake_gcs
from tests.integration.servers.localbucket import localbucket as run_localbucket
from tests.integration.servers.moto import moto as run_moto
from tests.integration.servers.s3 import S3Server

__all__ = ["azurite", "ceph", "fake_gcs", "localbucket", "moto"]


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with run_moto(tmp_path_factory.mktemp("moto")) as server:
        yield server


@pytest.fixture(scope="session")
def localbucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with run_localbucket(tmp_path_factory.mktemp("localbucket")) as server:
        yield server


@pytest.fixture(scope="session")
def fake_gcs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeGCS]:
    with run_fake_gcs(tmp_path_factory.mktemp("fake-gcs")) as server:
        yield server


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    with run_azurite(tmp_path_factory.mktemp("azurite")) as server:
        yield server


@pytest.fixture(scope="session")
def ceph() -> Iterator[Ceph]:
    with run_ceph() as cluster:
        yield cluster
