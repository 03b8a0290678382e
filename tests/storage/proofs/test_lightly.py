"""Indexes that a proof makes on emptied tables: which these are, and that everything else is made over the rows."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from storage.backups.proof import Outcome
from storage.jobs.model import JobState
from storage.postgres.archive import Entry
from storage.proofs import certificate, lightly
from tests.storage.proofs.conftest import ProvingHaven
from tests.storage.proofs.test_prove import as_written
from tests.storage.restores.conftest import SHOP


def index(definition: str, *, kind: str = "INDEX", dump_id: int = 1, depends_on: tuple[int, ...] = ()) -> Entry:
    return Entry(
        dump_id=dump_id,
        kind=kind,
        schema="public",
        name="an_index",
        owner="ana",
        definition=definition,
        section="post-data",
        has_data=False,
        depends_on=depends_on,
    )


@pytest.mark.parametrize(
    "definition",
    [
        "CREATE INDEX a ON public.t USING btree (x);\n",
        'CREATE INDEX "a b" ON public."t (1)" USING btree (x DESC NULLS LAST, "Y y") WHERE (deleted_at IS NULL);\n',
        "CREATE INDEX a ON ONLY public.t USING brin (x) WITH (pages_per_range='8');\n",
        "CREATE INDEX a ON public.t USING gin (((data -> 'a.b'::text)) jsonb_path_ops);\n",
        "CREATE INDEX a ON public.t USING btree (lower(x)) WHERE ((price * 1.5) > '2.5'::numeric);\n",
        "CREATE INDEX a ON public.t USING btree (x) WHERE (name = 'it''s public.f(1)'::text);\n",
    ],
)
def test_an_index_of_built_in_parts_can_wait(definition: str) -> None:
    assert lightly.is_light(index(definition))


@pytest.mark.parametrize(
    "definition",
    [
        "CREATE UNIQUE INDEX a ON public.t USING btree (x);\n",
        "CREATE INDEX a ON public.t USING btree (public.f(x));\n",
        'CREATE INDEX a ON public.t USING btree ("Odd schema".f(x));\n',
        "CREATE INDEX a ON public.t USING btree (x) WHERE public.f(x);\n",
        "CREATE INDEX a ON public.t USING btree (x public.my_ops);\n",
        'CREATE INDEX a ON public.t USING btree (x COLLATE public."de-x");\n',
        "CREATE INDEX a ON public.t USING btree (((x)::public.color));\n",
        "CREATE INDEX a ON public.t USING btree (((x OPERATOR(public.+) y)));\n",
        "CREATE INDEX a ON public.t USING btree (((x || '''.'::text) || public.f(y)));\n",
        "CREATE INDEX a ON public.t USING bloom (x);\n",
        "ALTER TABLE ONLY public.t ADD CONSTRAINT a PRIMARY KEY (x);\n",
    ],
)
def test_keys_and_what_calls_something_of_the_database_cannot_wait(definition: str) -> None:
    assert not lightly.is_light(index(definition))


def test_what_belongs_to_an_index_waits_with_it() -> None:
    entries = (
        index("CREATE INDEX a ON public.t USING btree (x);\n", dump_id=7),
        index("COMMENT ON INDEX public.a IS 'of x';\n", kind="COMMENT", dump_id=8, depends_on=(7,)),
        index("ALTER INDEX public.a ATTACH PARTITION public.b;\n", kind="INDEX ATTACH", dump_id=9, depends_on=(7, 3)),
        index("CREATE UNIQUE INDEX b ON public.t USING btree (y);\n", dump_id=10),
    )
    assert lightly.deferred(entries) == {7, 8, 9}
    assert lightly.count(entries, frozenset({7, 8, 9})) == 1


INDEXED = """
CREATE INDEX by_note ON orders (cents DESC) WHERE note::text <> 'public.x';
CREATE INDEX by_length ON orders ((length(note::text)));
COMMENT ON INDEX by_length IS 'how long';
CREATE TABLE parts (day date NOT NULL, n int) PARTITION BY RANGE (day);
CREATE TABLE parts_2026 PARTITION OF parts FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE INDEX by_day ON parts (day, n);
INSERT INTO parts SELECT date '2026-01-01' + n, n FROM generate_series(1, 100) n;
CREATE TABLE lines (order_id int REFERENCES orders, n int);
CREATE INDEX ON lines (order_id);
INSERT INTO lines SELECT id, 1 FROM orders;
CREATE FUNCTION never() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'never emptied'; END $$;
CREATE TRIGGER never BEFORE TRUNCATE ON orders FOR EACH STATEMENT EXECUTE FUNCTION never();
"""


@pytest.mark.postgres
def test_they_are_made_after_the_comparison_and_the_schema_is_whole_then(
    proving_of: Callable[..., ProvingHaven],
) -> None:
    proving = proving_of(SHOP + INDEXED)
    job, record = proving.prove(proving.haven.take())
    log = "\n".join(proving.haven.log(job))
    assert job.state is JobState.COMPLETED, (job.error, log)
    proof = record.proof
    assert proof is not None and proof.outcome is Outcome.WHOLE
    # Three of orders, one of lines, one of the partitioned table and one of its partition.
    assert (proof.indexes_on_empty, proof.same_schema) == (6, True)
    assert "6 indexes of built-in parts were made on emptied tables" in log and "could not be emptied" not in log
    assert log.index("orders_pkey done") < log.index("by_note done")
    assert certificate.document(record, proof)["indexes_on_empty_tables"] == 6


@pytest.mark.postgres
def test_a_function_of_the_database_that_fails_over_a_row_fails_the_proof(
    proving_of: Callable[..., ProvingHaven],
) -> None:
    proving = proving_of(
        SHOP
        + """
        CREATE FUNCTION only_at_home(n bigint) RETURNS bigint IMMUTABLE LANGUAGE plpgsql AS $$
        BEGIN
            IF current_database() LIKE 'pghaven%' THEN RAISE EXCEPTION 'not here'; END IF;
            RETURN n;
        END $$;
        CREATE INDEX by_function ON orders (only_at_home(id));
        CREATE INDEX by_note ON orders (note);
        """
    )
    job, record = proving.prove(proving.haven.take())
    assert job.error is not None and "not here" in job.error["words"]
    assert record.proof is not None and record.proof.outcome is Outcome.FAILED
    assert proving.left() == set()


@pytest.mark.postgres
def test_an_index_that_cannot_be_made_fails_the_proof(proving: ProvingHaven) -> None:
    proving.haven.run("CREATE INDEX by_note ON orders (note)")
    backup = proving.haven.take()
    path = proving.haven.catalog.archive_path(backup)
    content = path.read_bytes()
    broken = content.replace(b"USING btree (note)", b"USING btree (nope)")
    assert broken != content
    path.write_bytes(broken)
    job, record = proving.prove(as_written(proving, backup))
    assert job.error is not None and "nope" in job.error["words"]
    assert record.proof is not None and record.proof.outcome is Outcome.FAILED
    assert proving.left() == set()


@pytest.mark.postgres
def test_tables_that_cannot_be_emptied_get_their_indexes_over_the_rows(
    proving: ProvingHaven, monkeypatch: pytest.MonkeyPatch
) -> None:
    proving.haven.run("CREATE INDEX by_note ON orders (note)")
    monkeypatch.setattr(lightly, "_TABLES", "SELECT 'public', 'nowhere', false")
    job, record = proving.prove(proving.haven.take())
    assert "could not be emptied" in "\n".join(proving.haven.log(job))
    assert record.proof is not None and record.proof.outcome is Outcome.WHOLE and record.proof.same_schema
