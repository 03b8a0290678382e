"""A small shop in a database of the test's own, and the workshop over it."""

from __future__ import annotations

from pathlib import Path

import pytest

from storage.postgres.connection import Connection, connect
from tests.servers import Server
from tests.storage.backups.workshop import Workshop

SHOP = """
CREATE TABLE customers (id serial PRIMARY KEY, name text NOT NULL, born date, note jsonb);
CREATE TABLE orders (id bigserial PRIMARY KEY, customer_id int REFERENCES customers, total numeric(12,2),
                     placed_at timestamptz DEFAULT now());
CREATE TABLE visits (id bigserial PRIMARY KEY, path text, at timestamptz DEFAULT now());
INSERT INTO customers (name, note) SELECT 'customer ' || n, jsonb_build_object('n', n) FROM generate_series(1, 500) n;
INSERT INTO orders (customer_id, total) SELECT 1 + n % 500, n * 1.25 FROM generate_series(1, 2000) n;
INSERT INTO visits (path) SELECT '/' || md5(n::text) FROM generate_series(1, 20000) n;
"""

FILL = "INSERT INTO visits (path) SELECT repeat(md5(n::text), 20) FROM generate_series(1, %s) n"


@pytest.fixture
def shop(empty_database: Connection) -> Connection:
    with connect(empty_database, application="tests") as session:
        session.execute(SHOP)
    return empty_database


@pytest.fixture
def workshop(shop: Connection, server: Server, storage_folder: Path) -> Workshop:
    return Workshop(folder=storage_folder, connection=shop, majors=(server.major,))
