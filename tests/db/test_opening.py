"""Opening a database: what can't be one is refused with what to do, and never with a password."""

import sys
from contextlib import closing
from pathlib import Path

import pytest

from assay.db.engine import Database, open_database
from assay.errors import AssayError, ErrorCode, Invalid, Unavailable
from db.making import make_dataset
from services.postgresql import PostgresServer

SECRET = "hunter2secret"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "assay.db",
        f"mysql://someone:{SECRET}@somewhere/assay",
        f"postgres://someone:{SECRET}@somewhere/assay",
        f"postgresql+psycopg://someone:{SECRET}@somewhere:no-port/assay",
        f"nonsense+{SECRET}://somewhere",
        "sqlite://",
        "sqlite:///:memory:",
    ],
)
def test_a_url_of_no_known_database_is_refused_with_what_to_write(url: str) -> None:
    with pytest.raises(Invalid, match="must be sqlite:///PATH or postgresql") as raised:
        open_database(url)
    assert raised.value.code is ErrorCode.INVALID_SETTING
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+psycopg", "postgresql+psycopg2"])
def test_postgresql_is_spoken_to_by_one_driver_whatever_the_url_names(postgresql_url: str, scheme: str) -> None:
    with closing(open_database(postgresql_url.replace("postgresql+psycopg", scheme))) as db:
        assert (db.name, db.is_migrated()) == ("postgresql", True)


def test_opening_connects_to_nothing() -> None:
    for url in ("postgresql+psycopg://nobody@127.0.0.1:1/none", "sqlite:////nowhere/at/all.db"):
        open_database(url).close()


def _refusal(db: Database) -> AssayError:
    """What the operator is told by both of the calls that are theirs."""
    with closing(db):
        with pytest.raises(AssayError) as of_check:
            db.require_migrated()
        with pytest.raises(AssayError) as of_migration:
            db.migrate()
    assert type(of_check.value) is type(of_migration.value)
    return of_migration.value


@pytest.mark.parametrize("query", ["", f"&password={SECRET}"])
def test_an_unreachable_server_is_named_without_the_password(query: str) -> None:
    url = f"postgresql+psycopg://someone:{SECRET}@127.0.0.1:1/assay?application_name=x{query}"
    error = _refusal(open_database(url))
    assert isinstance(error, Unavailable)
    assert error.code is ErrorCode.DATABASE_UNAVAILABLE
    assert "can't be reached" in error.message
    assert "127.0.0.1:1/assay" in error.message
    assert "Connection refused" in error.message
    assert SECRET not in error.message


def test_a_client_is_not_told_the_address() -> None:
    with closing(open_database(f"postgresql+psycopg://someone:{SECRET}@127.0.0.1:1/assay")) as db:
        for ask in (db.is_migrated, db.read().__enter__):
            with pytest.raises(Unavailable) as raised:
                ask()
            assert "127.0.0.1" not in raised.value.message
            assert raised.value.retryable


def test_a_postgresql_database_that_is_not_there_is_named(postgresql: PostgresServer) -> None:
    error = _refusal(open_database(postgresql.url("not_there")))
    assert isinstance(error, Unavailable)
    assert 'database "not_there" does not exist' in error.message


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("These are my notes, and they are worth keeping.\n" * 100)
    before = path.read_bytes()
    error = _refusal(open_database(f"sqlite:///{path}"))
    assert isinstance(error, Invalid)
    assert error.code is ErrorCode.INVALID_SETTING
    assert str(path) in error.message
    assert "is not an SQLite database" in error.message
    assert path.read_bytes() == before


@pytest.mark.parametrize("place", ["missing/assay.db", ".", "file/assay.db", "/proc/assay.db"])
def test_a_place_where_no_file_can_be_is_named(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    error = _refusal(open_database(f"sqlite:///{tmp_path / place}"))
    assert isinstance(error, Invalid)
    assert "see that its directory exists and may be written" in error.message
    assert str(tmp_path / place) in error.message


def test_a_database_that_may_not_be_written_says_so(sqlite_url: str) -> None:
    """Opened for reading only: the permissions of a file mean nothing to root, which may run the tests."""
    path = sqlite_url.removeprefix("sqlite:///")
    with closing(open_database(f"sqlite:///file:{path}?mode=ro&uri=true")) as db:
        assert db.is_migrated()
        with pytest.raises(Unavailable, match="can't be opened or written"):
            make_dataset(db)


def test_a_missing_driver_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(Invalid, match="extra 'postgres'") as raised:
        open_database("postgresql+psycopg://someone@somewhere/assay")
    assert raised.value.code is ErrorCode.MISSING_PACKAGE
