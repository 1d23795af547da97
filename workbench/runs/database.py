"""Open an SQLite file of runs that several processes use at once, and raise its errors as sentences.

With write-ahead logging readers never wait; every change is one transaction, which is on the disk when it ends.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

APPLICATION_ID = 0x57424348  # SQLite's application_id of a run store

SCHEMA_VERSION = 3  # SQLite's user_version of a run store

TABLES = """
CREATE TABLE IF NOT EXISTS run (
    number INTEGER PRIMARY KEY AUTOINCREMENT, created TEXT NOT NULL,
    network TEXT NOT NULL, data TEXT NOT NULL, plan TEXT NOT NULL,
    macs INTEGER NOT NULL, weights INTEGER NOT NULL, dense_macs INTEGER NOT NULL, dense_weights INTEGER NOT NULL,
    measured TEXT NOT NULL, settings TEXT NOT NULL, seed INTEGER NOT NULL, versions TEXT NOT NULL, note TEXT NOT NULL,
    tries TEXT NOT NULL, weights_file TEXT NOT NULL, weights_hash TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS stage (
    run INTEGER NOT NULL REFERENCES run (number), position INTEGER NOT NULL, name TEXT NOT NULL, split TEXT NOT NULL,
    top1 REAL NOT NULL, top5 REAL NOT NULL, n INTEGER NOT NULL, kind TEXT NOT NULL, note TEXT NOT NULL,
    PRIMARY KEY (run, name, split)
);
"""


class StoreError(ValueError):
    """Raised if a store cannot be used or cannot keep a run; says why in one sentence."""


class Database:
    """An SQLite file. Each transaction opens a connection, so that threads and forked processes share none."""

    def __init__(self, path: Path, wait_s: float) -> None:
        self.path, self.wait_s = path, wait_s
        header = b""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileNotFoundError), path.open("rb") as file:
                header = file.read(16)
        except OSError as error:
            raise StoreError(f"{path} cannot be opened: {error.strerror}") from None
        if header and header != b"SQLite format 3\0":
            raise StoreError(f"{path.name} is no run store, or damaged: it is left as it is")
        if not header and any(path.with_name(path.name + ".weights").glob("*")):
            raise StoreError(f"{path.name} is empty or gone, although weights of its runs are beside it: put it back")
        if not header or not self._is_complete():
            self._create_tables()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Open a read transaction, in which later writes of others are not seen."""
        with self._store_errors(), closing(self._connect("ro")) as connection:
            connection.execute("BEGIN")
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Open a write transaction, which is on the disk when the block ends, or undone if the block raises."""
        with self._store_errors(), closing(self._connect("rw")) as connection, connection:
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("BEGIN IMMEDIATE")
            yield connection

    def _connect(self, mode: str) -> sqlite3.Connection:
        uri = f"file:{quote(str(self.path.absolute()))}?mode={mode}"
        connection = sqlite3.connect(uri, uri=True, timeout=self.wait_s, isolation_level=None)
        connection.row_factory = sqlite3.Row
        return connection

    def _is_complete(self) -> bool:
        """Return whether the file is a complete run store; False if it has no tables yet. Raise if it is neither."""
        with self.reading() as connection:
            (check,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            (application_id,) = connection.execute("PRAGMA application_id").fetchone()
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if check != "ok":
            raise StoreError(f"{self.path.name} is damaged ({check.splitlines()[-1]}): it is left as it is")
        if not tables and not application_id:
            return False
        if application_id != APPLICATION_ID:
            raise StoreError(f"{self.path.name} is an SQLite file of another program: it is left as it is")
        if version != SCHEMA_VERSION:
            raise StoreError(
                f"{self.path.name} was written by another version of the workbench (schema {version}, this one reads "
                f"{SCHEMA_VERSION}): it is left as it is"
            )
        if not {"run", "stage"} <= tables:
            raise StoreError(f"{self.path.name} is damaged (it lacks tables): it is left as it is")
        return True

    def _create_tables(self) -> None:
        with self._store_errors(), closing(self._connect("rwc")) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
        with self.writing() as connection:
            for statement in TABLES.split(";"):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    @contextmanager
    def _store_errors(self) -> Iterator[None]:
        """Raise SQLite's errors as `StoreError`."""
        try:
            yield
        except sqlite3.Error as error:
            message = _MESSAGES.get(getattr(error, "sqlite_errorcode", 0) & 0xFF, "{name} cannot be used: {error}")
            fields = {"name": self.path.name, "folder": self.path.parent, "wait": f"{self.wait_s:g}", "error": error}
            raise StoreError(message.format(**fields)) from error


_BUSY = "{name} is being written by another program for more than {wait} s: try again when it is done"
_MESSAGES = {
    sqlite3.SQLITE_BUSY: _BUSY,
    sqlite3.SQLITE_LOCKED: _BUSY,
    sqlite3.SQLITE_READONLY: "{name} is read-only, so nothing was stored: choose a folder that you may write to",
    sqlite3.SQLITE_CANTOPEN: "{name} cannot be opened: is {folder} there, and may you write to it?",
    sqlite3.SQLITE_FULL: "the disk of {name} is full, so nothing was stored: make room and try again",
    sqlite3.SQLITE_IOERR: "the disk of {name} fails ({error}), so nothing was stored",
    sqlite3.SQLITE_CORRUPT: "{name} is damaged ({error}): it is left as it is",
    sqlite3.SQLITE_NOTADB: "{name} is no run store, or damaged: it is left as it is",
}
