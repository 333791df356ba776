from __future__ import annotations

import pytest

from osqueue.errors import ConfigError
from osqueue.storage import open_store, storage_url


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({}, "memory://"),
        ({"STORAGE_BACKEND": ""}, "memory://"),
        ({"STORAGE_BACKEND": "memory"}, "memory://"),
        ({"OSQUEUE_STORAGE": "file:///x", "STORAGE_BACKEND": "s3"}, "file:///x"),
        ({"STORAGE_BACKEND": "local", "LOCAL_PATH": "/var/lib/a b"}, "file:///var/lib/a%20b"),
        ({"STORAGE_BACKEND": "s3", "S3_BUCKET": "jobs"}, "s3://jobs"),
        ({"STORAGE_BACKEND": "s3", "S3_BUCKET": "b", "S3_PREFIX": "a/b/"}, "s3://b/a/b/"),
        ({"STORAGE_BACKEND": "s3", "S3_BUCKET": "b", "S3_PREFIX": "a"}, "s3://b?prefix=a"),
        (
            {
                "STORAGE_BACKEND": "s3",
                "S3_BUCKET": "b",
                "S3_REGION": "eu-west-1",
                "S3_ENDPOINT": "http://h:1",
                "S3_PATH_STYLE": "true",
            },
            "s3://b?region=eu-west-1&endpoint=http://h:1&path_style=true",
        ),
        (
            {"STORAGE_BACKEND": "gcs", "GCS_BUCKET": "b", "GCS_PREFIX": "p", "GCS_PROJECT": "x"},
            "gs://b?project=x&prefix=p",
        ),
        (
            {"STORAGE_BACKEND": "azure", "AZURE_CONTAINER": "c", "AZURE_ACCOUNT": "a"},
            "az://c?account=a",
        ),
    ],
)
def test_storage_url_then_as_the_variables_say(environ: dict[str, str], url: str) -> None:
    assert storage_url(environ) == url


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"STORAGE_BACKEND": "s3"}, "needs S3_BUCKET"),
        ({"STORAGE_BACKEND": "gcs", "S3_BUCKET": "b"}, "needs GCS_BUCKET"),
        ({"STORAGE_BACKEND": "azure"}, "needs AZURE_CONTAINER"),
        ({"STORAGE_BACKEND": "local"}, "needs LOCAL_PATH"),
        ({"STORAGE_BACKEND": "local", "LOCAL_PATH": "~/queue"}, "LOCAL_PATH=~/queue: ~ stands for"),
        ({"STORAGE_BACKEND": "tape"}, "it can be azure, gcs, local, memory, s3"),
    ],
)
def test_storage_url_of_variables_without_sense_then_says_which_to_set(
    environ: dict[str, str], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        storage_url(environ)


@pytest.mark.parametrize("prefix", ["", "jobs", "jobs/", "a b/c-", "käse/100%/"])
def test_storage_url_of_a_prefix_then_the_store_keeps_it_character_for_character(
    prefix: str,
) -> None:
    url = storage_url({"STORAGE_BACKEND": "s3", "S3_BUCKET": "b", "S3_PREFIX": prefix})
    assert open_store(url)._prefix == prefix  # type: ignore[attr-defined]
    assert open_store(url).url == url
