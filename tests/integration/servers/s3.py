"""Any server of ours that speaks S3: fresh buckets, and the URLs of stores on them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlencode

import boto3
from botocore.client import Config
from tests.integration.servers.process import HOST

from osqueue.clock import SystemEntropy

__all__ = ["ACCESS_KEY", "SECRET_KEY", "S3Server", "make_bucket", "s3_url"]

ACCESS_KEY = "test-access-key"
SECRET_KEY = "test-secret-key"
REGION = "us-east-1"


class S3Server(NamedTuple):
    """One that listens on a port of this machine."""

    port: int

    @property
    def endpoint(self) -> str:
        return f"http://{HOST}:{self.port}"

    def new_bucket(self) -> str:
        """The name of a bucket that is new and empty."""
        return make_bucket(self.port)

    def new_store(self) -> str:
        """The URL of a store on a new bucket."""
        return s3_url(self.new_bucket(), self.port)


def make_bucket(port: int) -> str:
    """The name of a bucket that is new and empty."""
    name = f"test-{SystemEntropy().token()}"
    client = boto3.client(
        "s3",
        endpoint_url=f"http://{HOST}:{port}",
        region_name=REGION,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        config=Config(s3={"addressing_style": "path"}),
    )
    client.create_bucket(Bucket=name)
    client.close()
    return name


def s3_url(bucket: str, port: int, more: Mapping[str, str] | None = None) -> str:
    """The URL of a store on a bucket; ``more`` are further options of it."""
    options = {
        "endpoint": f"http://{HOST}:{port}",
        "region": REGION,
        "path_style": "true",
        "access_key_id": ACCESS_KEY,
        "secret_access_key": SECRET_KEY,
    }
    return f"s3://{bucket}?{urlencode({**options, **(more or {})}, safe=':/')}"
