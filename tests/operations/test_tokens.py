"""Tokens as an operator makes them: the first one, those that can't be, and the end of one."""

from datetime import timedelta

import pytest

from assay.db import tokens
from assay.db.engine import Database
from assay.db.tokens import Role, Token
from assay.errors import ErrorCode, Invalid, NotFound
from assay.ids import new_id
from assay.operations import bootstrap, create_token, revoke_token, upload_signing_key
from moving_clock import Clock


def find(db: Database, text: str) -> Token | None:
    with db.read() as tx:
        return tokens.find_token(tx, text)


def test_first_start_makes_a_writer_of_the_default_workspace(database: Database) -> None:
    text = bootstrap(database, token_text="")
    assert text is not None
    found = find(database, text)
    assert found is not None
    assert (found.workspace_id, found.role, found.expires_at) == ("default", Role.WRITER, None)


def test_first_token_may_be_chosen(database: Database) -> None:
    assert bootstrap(database, token_text="one that was chosen") == "one that was chosen"
    assert find(database, "one that was chosen") is not None


def test_later_starts_make_and_replace_nothing(database: Database) -> None:
    text = bootstrap(database, token_text="")
    assert bootstrap(database, token_text="") is None
    assert bootstrap(database, token_text="another") is None
    assert find(database, "another") is None
    assert find(database, text or "") is not None


def test_start_after_all_tokens_were_revoked_makes_none(database: Database) -> None:
    """Whoever revoked the last one does not find the door open after a restart."""
    text = bootstrap(database, token_text="")
    found = find(database, text or "")
    assert found is not None
    revoke_token(database, found.id)
    assert bootstrap(database, token_text="") is None
    assert find(database, text or "") is None


@pytest.mark.parametrize(
    ("workspace_id", "name", "seconds"),
    [
        *((workspace_id, "a", None) for workspace_id in ("", "no/slash", "-a", "w" * 65, "a\n")),
        *(("a", name, None) for name in ("", " \t", "n" * 256)),
        *(("a", "a", seconds) for seconds in (0, -1)),
    ],
)
def test_token_that_makes_no_sense_is_refused(
    database: Database, clock: Clock, workspace_id: str, name: str, seconds: int | None
) -> None:
    expires_at = None if seconds is None else clock() + timedelta(seconds=seconds)
    with pytest.raises(Invalid) as caught:
        create_token(database, workspace_id, name=name, role=Role.READER, expires_at=expires_at)
    assert caught.value.code is ErrorCode.INVALID_REQUEST
    with database.read() as tx:
        assert tokens.list_tokens(tx) == []


def test_revoking_what_is_not_there_is_not_found(database: Database) -> None:
    with pytest.raises(NotFound):
        revoke_token(database, new_id())


def test_signing_key_is_made_once(database: Database) -> None:
    key = upload_signing_key(database)
    assert len(key) == 32
    assert upload_signing_key(database) == key
