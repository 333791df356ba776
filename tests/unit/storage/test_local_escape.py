"""Nothing outside the store's directory is ever read or changed, whatever the key or the links."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from osqueue.errors import OsqueueError, StoreDeniedError
from osqueue.storage import LocalBackend, Version
from osqueue.storage.disk import digest

SECRET = b"not the store's"

segments = st.one_of(
    st.sampled_from(["..", ".", "", "a", "link", "leaf", "outside", "secret", "~", ".osqueue-x"]),
    st.text(st.sampled_from("./\\\0\n a~"), max_size=6),
)
keys = st.lists(segments, min_size=1, max_size=5).map("/".join) | st.text(max_size=20)


@pytest.fixture
def outside(root: Path, tmp_path: Path) -> Path:
    """A directory beside the store, with links into it planted in the store."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(SECRET)
    root.mkdir()
    (root / "link").symlink_to("../outside")
    (root / "leaf").symlink_to("../outside/secret")
    (root / "absolute").symlink_to(outside)
    return outside


async def try_everything(store: LocalBackend, key: str) -> None:
    with suppress(OsqueueError):
        await store.create(key, b"x")
    with suppress(OsqueueError):
        stored = await store.get(key)
        assert stored is not None
        assert stored.data != SECRET
        await store.put(key, b"y", if_version=stored.version)
    with suppress(OsqueueError):
        assert await store.head(key) != digest(SECRET)
    with suppress(OsqueueError):
        await store.put(key, b"z", if_version=Version("any"))
    async for found in store.list(key):
        assert found.startswith(key)
    with suppress(OsqueueError):
        await store.delete(key)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(key=keys)
async def test_any_key_then_nothing_outside_is_touched(
    key: str, root: Path, outside: Path, tmp_path: Path
) -> None:
    store = LocalBackend(root)
    await try_everything(store, key)
    await store.close()
    assert {path.name for path in outside.iterdir()} == {"secret"}
    assert (outside / "secret").read_bytes() == SECRET
    assert {path.name for path in tmp_path.iterdir()} == {"outside", "store"}


@pytest.mark.parametrize("key", ["link/secret", "absolute/secret", "leaf"])
async def test_key_through_a_link_then_denied(key: str, outside: Path, store: LocalBackend) -> None:
    with pytest.raises(StoreDeniedError, match="symbolic link"):
        await store.get(key)
    with pytest.raises(StoreDeniedError, match="symbolic link"):
        await store.head(key)
    with pytest.raises(StoreDeniedError, match="symbolic link"):
        await store.put(key, b"x", if_version=Version("any"))
    with pytest.raises(StoreDeniedError):
        await store.create(key, b"x")
    assert (outside / "secret").read_bytes() == SECRET


async def test_create_below_a_link_then_denied_and_nothing_made(
    outside: Path, store: LocalBackend
) -> None:
    with pytest.raises(StoreDeniedError, match="symbolic link"):
        await store.create("link/new/object", b"x")
    assert {path.name for path in outside.iterdir()} == {"secret"}


async def test_delete_of_a_link_then_what_it_leads_to_stays(
    root: Path, outside: Path, store: LocalBackend
) -> None:
    await store.delete("leaf")
    assert not (root / "leaf").is_symlink()
    assert (outside / "secret").read_bytes() == SECRET


async def test_list_beside_links_then_never_through_them(
    outside: Path, store: LocalBackend
) -> None:
    assert (outside / "secret").exists()
    assert [key async for key in store.list()] == []
    assert [key async for key in store.list("link/")] == []
