"""API tokens: valid until they expire or are revoked, and nowhere to be read."""

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from assay.db import tables, tokens
from assay.db.engine import Database
from assay.db.tokens import NewToken, Role, Token
from assay.errors import ErrorCode, NotFound
from assay.ids import new_id
from moving_clock import Clock


def _add(db: Database, *, text: str, seconds: float | None = None, role: Role = Role.WRITER) -> Token:
    with db.write() as tx:
        tokens.insert_workspace(tx, "default")
        expires_at = None if seconds is None else tx.now() + timedelta(seconds=seconds)
        new = NewToken(id=new_id(), workspace_id="default", name="a token", role=role, expires_at=expires_at)
        return tokens.insert_token(tx, new, text=text)


def _find(db: Database, text: str) -> Token | None:
    with db.read() as tx:
        return tokens.find_token(tx, text)


@pytest.mark.parametrize("role", list(Role))
def test_a_token_is_found_by_its_text_alone(database: Database, role: Role) -> None:
    text = tokens.random_token()
    added = _add(database, text=text, role=role)
    assert _find(database, text) == added
    assert added.role is role
    for other in ("", text[:-1], text + " ", text.upper(), tokens.hash_token(text)):
        assert _find(database, other) is None


def test_a_token_ends_at_its_expiry(database: Database, clock: Clock) -> None:
    _add(database, text="brief", seconds=60)
    clock.advance(59.9)
    assert _find(database, "brief") is not None
    clock.advance(0.1)
    assert _find(database, "brief") is None


def test_a_revoked_token_is_not_found_and_stays_listed(database: Database, clock: Clock) -> None:
    token = _add(database, text="revoked")
    with database.write() as tx:
        tokens.revoke_token(tx, token.id)
    assert _find(database, "revoked") is None
    revoked_at = clock()
    clock.advance(10)
    with database.write() as tx:
        tokens.revoke_token(tx, token.id)
        assert [listed.revoked_at for listed in tokens.list_tokens(tx)] == [revoked_at]
        assert tokens.has_tokens(tx)


def test_revoking_an_unknown_token_says_so(database: Database) -> None:
    unknown = new_id()
    with pytest.raises(NotFound, match=str(unknown)) as raised, database.write() as tx:
        tokens.revoke_token(tx, unknown)
    assert raised.value.code is ErrorCode.UNKNOWN_TOKEN


def test_tokens_are_listed_oldest_first(database: Database, clock: Clock) -> None:
    added = []
    for number in range(3):
        added.append(_add(database, text=f"token {number}").id)
        clock.advance(1)
    with database.read() as tx:
        assert [token.id for token in tokens.list_tokens(tx)] == added


def test_the_text_of_a_token_is_in_no_row(database: Database) -> None:
    text = tokens.random_token()
    _add(database, text=text)
    with database.read() as tx:
        rows = [str(row) for table in tables.metadata.sorted_tables for row in tx.connection.execute(select(table))]
    assert any(tokens.hash_token(text) in row for row in rows)
    assert not any(text in row for row in rows)


def test_the_text_of_a_token_is_in_no_file(database: Database, tmp_path: Path) -> None:
    text = tokens.random_token()
    _add(database, text=text)
    files = [path.read_bytes() for path in tmp_path.iterdir() if path.is_file()]
    if database.name == "sqlite":
        assert any(tokens.hash_token(text).encode() in data for data in files)
    assert not any(text.encode() in data for data in files)


def test_random_tokens_are_long_and_differ() -> None:
    made = {tokens.random_token() for _ in range(100)}
    assert len(made) == 100
    assert all(text.startswith("assay_") and len(text) >= 49 for text in made)


def test_a_token_is_found_by_its_id_as_long_as_it_is_valid(database: Database, clock: Clock) -> None:
    lasting, short = _add(database, text="lasting"), _add(database, text="short", seconds=60)
    clock.advance(60)
    with database.read() as tx:
        found = [tokens.get_valid_token(tx, token_id) for token_id in (lasting.id, short.id, new_id())]
    assert found == [lasting, None, None]
    with database.write() as tx:
        tokens.revoke_token(tx, lasting.id)
    with database.read() as tx:
        assert tokens.get_valid_token(tx, lasting.id) is None
