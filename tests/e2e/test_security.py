"""The door as an operator locks it: by the command line alone."""

from __future__ import annotations

import json
import re
import resource
import signal
import socket
import ssl
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import trustme

from .processes import Running, broker, osqueue, running

CA = trustme.CA()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    CA.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    made = CA.issue_cert("127.0.0.1")
    made.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    (tmp_path / "cert.pem").write_bytes(b"".join(pem.bytes() for pem in made.cert_chain_pems))
    return tmp_path


def tls(folder: Path) -> list[str]:
    return ["--tls-cert", str(folder / "cert.pem"), "--tls-key", str(folder / "key.pem")]


def new_token(file: Path, name: str, *roles: str) -> str:
    """What the command prints, and nothing else."""
    options = [part for role in roles for part in ("--role", role)]
    done = osqueue("token", "new", "--name", name, "--file", str(file), *options)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def status(url: str, token: str | None, *, wait_s: float = 20) -> int:
    """The status of a request over TLS, on a connection of its own."""
    context = ssl.create_default_context()
    CA.configure_trust(context)
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    asked = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.urlopen(asked, context=context, timeout=wait_s) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_door_when_locked_in_three_lines_then_only_tokens_open_it_and_revoked_ones_do_not(
    folder: Path,
) -> None:
    tokens = folder / "tokens"
    token = new_token(tokens, "web", "observe")
    with broker("--tokens-file", str(tokens), "--log-level", "debug", *tls(folder)) as (locked, at):
        url = at.replace("http:", "https:") + "/v1/stats"
        assert [status(url, None), status(url, token), status(url, token[:-1])] == [401, 200, 401]
        revoked = osqueue("token", "revoke", "web", "--file", str(tokens))
        assert "revoked" in revoked.stdout
        locked.wait_for(r"0 tokens \(-web ")
        assert status(url, token) == 401
        assert locked.stop() == 0
        assert not [line for line in (*locked.out, *locked.err) if token[-64:] in line]


@pytest.mark.parametrize("transport", ["rest", "connect", "grpc", "ws"])
def test_commands_when_told_token_and_authority_then_let_in_by_their_role(
    transport: str, folder: Path
) -> None:
    tokens = folder / "tokens"
    web = new_token(tokens, "web", "produce")
    grpc = ("--grpc-port", str(free_port()))
    with broker("--tokens-file", str(tokens), *grpc, *tls(folder)) as (_, at):
        env = {
            "BROKER_URL": at.replace("http:", "https:"),
            "OSQUEUE_TLS_CA": str(folder / "ca.pem"),
            "OSQUEUE_TRANSPORT": transport,
        }
        submit = ("submit", "t", "{}")
        assert "asks for a token" in osqueue(*submit, env=env).stderr
        env["OSQUEUE_TOKEN"] = web
        done = osqueue(*submit, env=env)
        assert (done.returncode, done.stderr) == (0, "")
        refused = osqueue("stats", env=env)
        assert refused.returncode == 1
        assert "the token web lacks the role observe" in refused.stderr


def test_tokens_when_in_the_environment_then_asked_for(folder: Path) -> None:
    done = osqueue("token", "new", "--name", "web", "--role", "observe")
    token, line = done.stdout.splitlines()
    with broker(*tls(folder), env={"OSQUEUE_TOKENS": line}) as (_, at):
        url = at.replace("http:", "https:") + "/v1/stats"
        assert [status(url, None), status(url, token)] == [401, 200]


@pytest.mark.parametrize("which", ["tokens", "cert.pem", "key.pem"])
def test_file_when_it_cannot_be_used_then_the_broker_says_which_and_ends(
    which: str, folder: Path
) -> None:
    (folder / "tokens").write_text("")
    (folder / which).write_text("nonsense\n")
    arguments = ("--tokens-file", str(folder / "tokens"), *tls(folder))
    with running("broker", "--host", "127.0.0.1", "--port", "0", *arguments) as started:
        assert started.wait() == 1
        assert str(folder / which) in failure(started)


def failure(started: Running) -> str:
    """The one line that says why."""
    return next(line for line in started.err if line.startswith("error: "))


def test_broker_when_stopped_while_a_handshake_hangs_then_it_does_not_wait_for_it(
    folder: Path,
) -> None:
    with broker(*tls(folder)) as (started, at):
        host, _, port = at.removeprefix("http://").rpartition(":")
        with socket.create_connection((host, int(port)), timeout=20):
            assert started.stop(signal.SIGTERM) == 0


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux limits another process")
def test_broker_when_the_system_gives_no_more_files_then_it_goes_on_once_it_does(
    folder: Path,
) -> None:
    with broker(*tls(folder)) as (started, at):
        url = at.replace("http:", "https:") + "/healthz"
        assert status(url, None) == 200
        before = resource.prlimit(started.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(started.pid, resource.RLIMIT_NOFILE, (3, before[1]))
        with pytest.raises(OSError, match="timed out"):
            status(url, None, wait_s=2)
        started.wait_for("no connection can be taken in: Too many open files")
        resource.prlimit(started.pid, resource.RLIMIT_NOFILE, before)
        assert status(url, None) == 200


def test_settings_when_shown_then_with_their_variables_and_without_secrets(folder: Path) -> None:
    tokens = folder / "tokens"
    token = new_token(tokens, "me", "admin")
    lines = tokens.read_text().strip()
    place = f"file://{folder}/queue"
    given = {"OSQUEUE_TOKENS": lines, "DEAD_LETTERS_MAX": "77", "OSQUEUE_TOKEN": token}
    with broker("--storage", place, env=given) as (_, url):
        shown = osqueue("settings", "--broker-url", url, env=given)
        told = osqueue("settings", "--broker-url", url, "--json", env=given)
        refused = osqueue("settings", "--broker-url", url)
    values = json.loads(told.stdout)
    assert (values["limits.dead_max"], values["storage"]) == (77, place)
    assert values["access.tokens"] == "(hidden)"
    assert re.search(r"^limits\.dead_max +77 +DEAD_LETTERS_MAX$", shown.stdout, re.MULTILINE)
    assert re.search(r"^storage +\S+ +OSQUEUE_STORAGE$", shown.stdout, re.MULTILINE)
    secret = lines.split()[-1]
    assert secret not in shown.stdout + told.stdout
    assert refused.returncode == 1
    assert "token" in refused.stderr
