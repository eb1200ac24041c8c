"""What a session of the console rests on: a key of the service's own, and the token that signed in, as it is now."""

from datetime import timedelta
from uuid import UUID

from assay.db import tokens
from assay.db.engine import Database
from assay.db.tokens import Token

SESSION_KEY = "console_session_key"


def session_key(db: Database) -> bytes:
    """The key that signs sessions: made once, and the same for every process on this database."""
    with db.write() as tx:
        return tokens.get_or_make_secret(tx, SESSION_KEY)


def token_by_text(db: Database, text: str) -> Token | None:
    """The valid token of that text."""
    with db.read() as tx:
        return tokens.find_token(tx, text)


def token_of_session(db: Database, token_id: UUID, nonce: str) -> Token | None:
    """The token, unless it was revoked or has expired since, or whoever signed in with it has signed out."""
    with db.read() as tx:
        return None if tokens.is_ended(tx, nonce) else tokens.get_valid_token(tx, token_id)


def end_session(db: Database, nonce: str, *, valid_for: timedelta) -> None:
    with db.write() as tx:
        tokens.end_session(tx, nonce, valid_for=valid_for)
