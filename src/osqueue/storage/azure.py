"""A store in a container of Azure Blob Storage.

Without a key, token or connection string the library's own chain finds credentials: the
environment, a workload's identity, the machine's managed identity.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from osqueue.errors import ConfigError
from osqueue.storage.cloud import TIMEOUT_S, CloudStore, check_timeout, require
from osqueue.storage.endpoints import check_bucket, check_endpoint, public_url
from osqueue.storage.obstore_bucket import ObstoreBucket, client_config, retry_config

if TYPE_CHECKING:
    from obstore.store import AzureConfig, AzureStore

__all__ = ["AzureBackend"]

_EMULATOR = {
    "account_name": "devstoreaccount1",
    "account_key": (
        "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
    ),
    "endpoint": "http://127.0.0.1:10000/devstoreaccount1",
}
"""What ``UseDevelopmentStorage=true`` stands for: public, and the same for every emulator."""

_PARTS = {
    "AccountName": "account_name",
    "AccountKey": "account_key",
    "SharedAccessSignature": "sas_key",
    "BlobEndpoint": "endpoint",
}

_VARIABLES = {
    "account_name": ("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT"),
    "endpoint": ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
}


class AzureBackend(CloudStore):
    """A container of Azure Blob Storage, or a part of it.

    ``prefix`` stands before every key as it is (``jobs/`` for a folder). ``timeout_s`` is the
    longest wait for an answer. Raises `ConfigError` for options that do not fit each other, and
    when ``osqueue[azure]`` is not installed.
    """

    def __init__(
        self,
        container: str,
        *,
        prefix: str = "",
        account: str | None = None,
        endpoint: str | None = None,
        account_key: str | None = None,
        sas_token: str | None = None,
        connection_string: str | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        check_bucket(container)
        check_timeout(timeout_s)
        given = {
            "account_name": account,
            "endpoint": endpoint,
            "account_key": account_key,
            "sas_key": sas_token,
        }
        said = {name: value for name, value in given.items() if value is not None}
        config = _config(said, connection_string)
        require("obstore", extra="azure")
        url = public_url(
            "az", container, prefix=prefix, options={"account": account, "endpoint": endpoint}
        )
        bucket = ObstoreBucket(
            _client(container, config, timeout_s, retries=False),
            _client(container, config, timeout_s, retries=True),
            url=url,
        )
        super().__init__(bucket, url=url, prefix=prefix)


def _config(given: Mapping[str, str], connection_string: str | None) -> AzureConfig:
    if "account_key" in given and "sas_key" in given:
        raise ConfigError("account_key and sas_token: give one of them")
    if connection_string is not None and given:
        raise ConfigError("connection_string: it says everything: give no other option beside it")
    if not given and connection_string is None:
        connection_string = os.environ.get("AZURE_STORAGE_CONNECTION_STRING")
    settings = {**_of_the_environment(), **_parsed(connection_string or ""), **given}
    if "account_name" not in settings:
        raise ConfigError("no storage account: give account, or set AZURE_STORAGE_ACCOUNT_NAME")
    if "endpoint" in settings:
        settings["endpoint"] = check_endpoint(settings["endpoint"])
    if "sas_key" in settings:
        settings["sas_key"] = settings["sas_key"].removeprefix("?")
    return cast("AzureConfig", settings)  # its keys are all strings


def _of_the_environment() -> dict[str, str]:
    """What the library reads from there as well, or under its own names only."""
    found = {
        name: next(filter(None, map(os.environ.get, variables)), None)
        for name, variables in _VARIABLES.items()
    }
    return {name: value for name, value in found.items() if value is not None}


def _parsed(connection_string: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in connection_string.split(";") if part.strip())
    parts = {name.strip(): value.strip() for name, _, value in pairs}
    if parts.get("UseDevelopmentStorage", "").lower() == "true":
        return dict(_EMULATOR)
    settings = {_PARTS[name]: value for name, value in parts.items() if name in _PARTS}
    if "endpoint" not in settings and "account_name" in settings and "EndpointSuffix" in parts:
        scheme = parts.get("DefaultEndpointsProtocol", "https")
        host = f"{settings['account_name']}.blob.{parts['EndpointSuffix']}"
        settings["endpoint"] = f"{scheme}://{host}"
    if parts and "account_name" not in settings and "endpoint" not in settings:
        raise ConfigError("connection_string: it names neither AccountName nor BlobEndpoint")
    return settings


def _client(container: str, config: AzureConfig, timeout_s: float, *, retries: bool) -> AzureStore:
    from obstore.exceptions import BaseError  # noqa: PLC0415 - an optional package
    from obstore.store import AzureStore  # noqa: PLC0415 - an optional package

    try:
        return AzureStore(
            container,
            config=config,
            client_options=client_config(timeout_s, endpoint=config.get("endpoint")),
            retry_config=retry_config(timeout_s) if retries else {"max_retries": 0},
        )
    except (BaseError, ValueError) as error:
        raise ConfigError(
            f"az://{container}: the options make no sense: is a key or token malformed?"
        ) from error
