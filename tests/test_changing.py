"""A table changes all the time while it is read: what is at rest arrives whole."""

from __future__ import annotations

import contextlib
import json
import os
import random
import threading

import pytest
from conftest import PROGRAMS, Pipeline, run_alone

ROWS, WRITERS = 4_000, 3
# What each writer does when the first rows have been read and the others wait.
MORE_TRANSACTIONS = 200
STATEMENTS = (1, 1, 3, 30)
HELD_BYTES = 60_000

TABLES = {
    # Seconds only: what changes within one has the same value, over and over.
    "mariadb": f"""
CREATE SEQUENCE revisions START WITH {ROWS + 1};
CREATE TABLE changing (id int PRIMARY KEY, v int, word varchar(200), amount
  decimal(12,2), revision bigint, updated_at timestamp NOT NULL
  DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
  INDEX (revision), INDEX (updated_at));
INSERT INTO changing SELECT seq, 0, REPEAT('x', seq % 200), seq / 7, seq,
  NOW() - INTERVAL {ROWS} - seq SECOND FROM seq_1_to_{ROWS}
""",
    "postgres": f"""
CREATE SEQUENCE revisions START WITH {ROWS + 1};
CREATE TABLE changing (id int PRIMARY KEY, v int, word text, amount numeric(12,2),
  revision bigint, updated_at timestamptz NOT NULL DEFAULT now());
CREATE INDEX ON changing (revision);
CREATE INDEX ON changing (updated_at);
INSERT INTO changing SELECT n, 0, repeat('x', n % 200), n / 7.0, n,
  now() - ({ROWS} - n) * interval '1 second' FROM generate_series(1, {ROWS}) n
""",
}
NEXT = {"mariadb": "NEXTVAL(revisions)", "postgres": "nextval('revisions')"}
INSERT = "INSERT INTO changing (id, v, word, revision) VALUES ({id}, 0, 'new', {next})"
UPDATE = (
    "UPDATE changing SET v = v + 1, revision = {next}, updated_at = now() "
    "WHERE id = {id}"
)
DELETE = "DELETE FROM changing WHERE id = {id}"


class Writer:
    """Changes rows of its own: inserts, updates and deletes, in small and large bits.

    A transaction in ten is rolled back.
    """

    def __init__(self, source, kind, number):
        self._source = source
        self._kind = kind
        self._chance = random.Random(number)  # noqa: S311 the same every time
        self._next = 1_000_000 * (number + 1)
        self._ids = [i for i in range(10, ROWS + 1) if i % WRITERS == number]
        self.deleted = set()
        self.committed = self.early = 0

    def work(self, is_enough):
        """Change rows until it is said to be enough, and a little more."""
        with contextlib.closing(self._source.connect()) as connection:
            while not is_enough.is_set():
                self._transact(connection)
            self.early = self.committed
            for _ in range(MORE_TRANSACTIONS):
                self._transact(connection)

    def _transact(self, connection):
        ids, deleted = [*self._ids], {*self.deleted}
        with contextlib.closing(connection.cursor()) as cursor:
            for _ in range(self._chance.choice(STATEMENTS)):
                change, key = self._change(ids, deleted)
                cursor.execute(change.format(id=key, next=NEXT[self._kind]))
        if self._chance.random() < 0.1:
            connection.rollback()
            return
        connection.commit()
        self._ids, self.deleted = ids, deleted
        self.committed += 1

    def _change(self, ids, deleted):
        luck = self._chance.random()
        if luck < 0.25:
            self._next += 1
            ids.append(self._next)
            return INSERT, self._next
        place = self._chance.randrange(len(ids))
        if luck < 0.45:
            ids[place], ids[-1] = ids[-1], ids[place]
            deleted.add(ids[-1])
            return DELETE, ids.pop()
        return UPDATE, ids[place]


class Changing(Pipeline):
    """A pipeline whose table changes while it is read."""

    def __init__(self, folder, source, kind):
        super().__init__(folder, source)
        tap = {"mariadb": "tap-mysql", "postgres": "tap-postgres"}[kind]
        schema = {"mariadb": source.name, "postgres": "public"}[kind]
        self.tap_name = tap
        self.programs[0] = PROGRAMS / tap
        self.stream = f"{schema}-changing"
        self.table = f"lake.{schema}_changing"
        self.writers = [Writer(source, kind, number) for number in range(WRITERS)]
        self._kind = kind
        self.tap["state_interval_rows"] = 500
        self._began, self._go_on = folder / "began", folder / "go_on"
        for pipe in (self._began, self._go_on):
            os.mkfifo(pipe)
        self._gate = folder / "gate.sh"
        # The tap's first rows pass; the others wait until they are let go.
        self._gate.write_text(
            f'#!/bin/sh\n{PROGRAMS / tap} "$@" | {{ head -c {HELD_BYTES}; '
            f": > {self._began}; cat {self._go_on}; cat; }}\n"
        )
        self._gate.chmod(0o755)

    def run_while_it_changes(self):
        """Run, with writers at work before it begins and when it has read some."""
        self.programs[0] = self._gate
        is_enough = threading.Event()
        threads = [
            threading.Thread(target=writer.work, args=[is_enough])
            for writer in self.writers
        ]
        for thread in threads:
            thread.start()
        hand = threading.Thread(target=self._let_go, args=[is_enough, threads])
        hand.start()
        try:
            return self.run()
        finally:
            is_enough.set()
            hand.join()
            self.programs[0] = PROGRAMS / self.tap_name

    @contextlib.contextmanager
    def late(self, key):
        """Update a row and insert one before the block, and commit behind it."""
        with contextlib.closing(self.source.connect()) as connection:
            with contextlib.closing(connection.cursor()) as cursor:
                for change, id_ in ((UPDATE, key), (INSERT, -key)):
                    cursor.execute(change.format(id=id_, next=NEXT[self._kind]))
            yield
            connection.commit()

    def _let_go(self, is_enough, threads):
        self._began.read_bytes()
        is_enough.set()
        for thread in threads:
            thread.join()
        self._go_on.open("w").close()

    def compare(self):
        """Return the report of `dativo reconcile`."""
        report = self.folder / "report.json"
        done = run_alone(
            [
                *(PROGRAMS / "dativo", "reconcile", self.tap_name, "target-dativo"),
                *("--stream", self.stream, "--report", report),
                *("--tap-config", self.write("tap.json", self.tap)),
                *("--target-config", self.write("target.json", self.target)),
            ]
        )
        assert report.exists(), done
        return json.loads(report.read_text())


@pytest.fixture(params=TABLES)
def changing(request, tmp_path):
    """A pipeline from such a table."""
    name = {"mariadb": "mariadb", "postgres": "database"}[request.param]
    source = request.getfixturevalue(name)
    source.execute(TABLES[request.param])
    return Changing(tmp_path, source, request.param)


@pytest.mark.parametrize(
    ("first", "key"), [("INCREMENTAL", "revision"), ("FULL_TABLE", "updated_at")]
)
def test_no_change_is_missed(changing, first, key, record_property):
    """Not those of two runs, not what was committed late; deleted rows stay."""
    changing.choose(changing.stream, key=key if first == "INCREMENTAL" else None)
    with changing.late(1):
        runs = [changing.run_while_it_changes()]
    changing.choose(changing.stream, key=key)
    with changing.late(2):
        runs.append(changing.run_while_it_changes())

    runs.append(changing.run())

    report = changing.compare()
    here = {key for (key,) in changing.source.query("SELECT id FROM changing")}
    there = {key for (key,) in changing.rows(f"SELECT id FROM {changing.table}")}
    deleted = set.union(*(writer.deleted for writer in changing.writers))
    record_property(
        "changing tables",
        {
            "source": changing.tap_name,
            "first": first,
            "transactions": sum(writer.committed for writer in changing.writers),
            "deleted": len(deleted),
            "rows_read": [len(run.records) for run in runs],
            **{name: report[name] for name in ("source_rows", "table_rows")},
            **{name: report[name] for name in ("missing", "different", "extra")},
        },
    )
    assert (report["missing"], report["different"]) == (0, 0), report
    assert report["source_rows"] == len(here)
    assert report["extra"] == len(there - here)
    assert there - here <= deleted
    assert {-1, -2} <= there
    assert all(writer.early for writer in changing.writers)
