"""From a URL to a cloud store, without touching it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from osqueue.errors import ConfigError
from osqueue.storage import AzureBackend, GCSBackend, S3Backend, Store, open_store

KEYS = "access_key_id=AKIA&secret_access_key=hunter2+/="
ACCOUNT = '{"client_email": "a@b", "token_uri": "https://c", "private_key": "hunter2"}'


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of the machine that runs the tests says anything about a cloud."""
    for name in os.environ:
        if name.startswith(("AWS_", "AZURE_", "GOOGLE_", "GCLOUD_", "STORAGE_")):
            monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("url", "kind", "shown"),
    [
        ("s3://b", S3Backend, "s3://b"),
        ("s3://b/", S3Backend, "s3://b"),
        ("s3://b/a/b", S3Backend, "s3://b/a/b/"),
        ("s3://b/a%20b/", S3Backend, "s3://b/a%20b/"),
        ("s3://b?prefix=jobs", S3Backend, "s3://b?prefix=jobs"),
        (f"s3://b/x?{KEYS}&region=eu-west-1&timeout=5", S3Backend, "s3://b/x/"),
        (f"s3://b?{KEYS}&session_token=hunter2&endpoint=http://h:1/", S3Backend,
         "s3://b?endpoint=http://h:1/"),
        ("gs://b/x", GCSBackend, "gs://b/x/"),
        ("gcs://b?endpoint=http://h:1&anonymous=true&project=p", GCSBackend,
         "gs://b?endpoint=http://h:1"),
        ("az://c/x?account=a&account_key=aHVudGVyMg==", AzureBackend, "az://c/x/?account=a"),
        ("azure://c?account=a&sas_token=?sv=1%26sig=hunter2", AzureBackend, "az://c?account=a"),
        ("az://c?connection_string=AccountName=a;AccountKey=aHVudGVyMg==", AzureBackend, "az://c"),
    ],
)  # fmt: skip
def test_open_store_of_a_cloud_then_its_url_names_it_without_credentials(
    url: str, kind: type[Store], shown: str
) -> None:
    store = open_store(url)
    assert isinstance(store, kind)
    assert store.url == shown
    assert "hunter2" not in f"{store.url} {store!r}"


@pytest.mark.parametrize(
    ("url", "advice"),
    [
        ("s3://", "needs a name: write s3://name/folder"),
        ("s3:///folder", "needs a name"),
        ("gs://", "needs a name: write gs://name/folder"),
        ("s3://host:9000/b", "give that by endpoint="),
        ("s3://AKIA:hunter2@b", "give them as options, or leave them to the environment"),
        ("s3://b#hunter2", "%23"),
        ("s3://b%20c", "letters, digits, dots and dashes"),
        (
            "s3://b?regoin=hunter2",
            r"no option 'regoin': did you mean region\? There are access_key",
        ),
        ("gs://b?account_key=hunter2", "no option 'account_key'; there are anonymous, credentials"),
        ("az://c?acount=x", r"did you mean account\?"),
        ("s3://b?region=a&region=b", "option region twice"),
        ("s3://b?region=", "option region without a value"),
        ("s3://b?region", "option region without a value"),
        ("s3://b?path_style=perhaps", "path_style: it can be true or false"),
        ("s3://b?timeout=soon", "timeout: it is a number of seconds"),
        ("s3://b?timeout=0", "timeout: more than 0 and at most 20 seconds, not 0"),
        ("s3://b?timeout=21", "at most 20 seconds, not 21"),
        ("s3://b?timeout=nan", "at most 20 seconds"),
        ("gs://b?timeout=-1", "more than 0"),
        ("az://c?account=a&timeout=99", "at most 20"),
        ("s3://b/a?prefix=b", "the URL's path says it already"),
        ("s3://b/a//b", "cannot stand before a key"),
        ("s3://b/../c", "cannot stand before a key"),
        ("s3://b?endpoint=h:1", "endpoint: write http://host:port"),
        ("s3://b?endpoint=http://u:hunter2@h", "credentials do not go into it"),
        ("gs://b?endpoint=http://h?x=1", "it takes no options"),
        ("az://c?account=a&endpoint=ftp://h", "endpoint: write http://host:port"),
        ("s3://b?access_key_id=hunter2", "give both, or neither"),
        ("s3://b?secret_access_key=hunter2", "give both, or neither"),
        ("s3://b?session_token=hunter2", "session_token: it belongs to an access_key_id"),
        (f"s3://b?{KEYS}&profile=p", "profile and access_key_id: give one of them"),
        ("s3://b?etag=bare", "etag: it can be quoted or unquoted"),
        ("s3://b?profile=no-such-profile", "'no-such-profile' gives no credentials"),
        ("gs://b?anonymous=true&credentials=x", "anonymous and credentials_file"),
        ("gs://b?credentials=/no/such.json", "there is no file"),
        ("az://c", "no storage account: give account, or set AZURE_STORAGE_ACCOUNT_NAME"),
        ("az://c?account=a&account_key=eA==&sas_token=hunter2", "give one of them"),
        ("az://c?account=a&connection_string=AccountName=a", "give no other option beside it"),
        ("az://c?connection_string=hunter2", "names neither AccountName nor BlobEndpoint"),
        ("az://c?account=a&account_key=hunter2!", "is a key or token malformed"),
    ],
)
def test_open_store_of_a_cloud_without_sense_then_says_what_to_write_and_no_secret(
    url: str, advice: str
) -> None:
    with pytest.raises(ConfigError, match=advice) as caught:
        open_store(url)
    assert "hunter2" not in str(caught.value)


def test_azure_when_the_environment_has_a_connection_string_then_it_is_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parts = "AccountName=a;AccountKey=aHVudGVyMg==;BlobEndpoint=http://127.0.0.1:1/a"
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", parts)
    assert open_store("az://c").url == "az://c"


def test_azure_of_the_emulator_then_no_account_is_asked_for() -> None:
    assert AzureBackend("c", connection_string="UseDevelopmentStorage=true").url == "az://c"


@pytest.mark.parametrize("content", ["{}", "hunter2", '{"private_key": "hunter2"}', ACCOUNT])
def test_gcs_when_a_credentials_file_holds_no_key_then_said_without_what_it_holds(
    content: str, tmp_path: Path
) -> None:
    file = tmp_path / "key.json"
    file.write_text(content)
    with pytest.raises(ConfigError, match=r"key\.json' is not a service account's key") as caught:
        GCSBackend("b", credentials_file=str(file))
    assert "hunter2" not in str(caught.value)
