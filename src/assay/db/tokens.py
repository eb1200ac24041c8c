"""Workspaces, API tokens and the service's own secrets. A token is stored as its hash alone."""

import hashlib
import hmac
import secrets as random
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import Row, and_, delete, func, insert, or_, select, update

from assay.db.engine import ReadTransaction, WriteTransaction, insert_unless_there
from assay.db.tables import datasets, ended_sessions, secrets, tokens, workspaces
from assay.errors import ErrorCode, NotFound


class Role(StrEnum):
    """What a token may do: a reader reads, a writer changes things too."""

    READER = "reader"
    WRITER = "writer"


@dataclass(frozen=True)
class Token:
    """A token as it is known after it was shown once."""

    id: UUID
    workspace_id: str
    name: str
    role: Role
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True)
class NewToken:
    id: UUID
    workspace_id: str
    name: str
    role: Role
    expires_at: datetime | None


def random_token() -> str:
    """A new token's text: 256 random bits behind a prefix that secret scanners can look for."""
    return "assay_" + random.token_urlsafe(32)


def hash_token(text: str) -> str:
    # A plain hash is enough: a random token of 256 bits can't be guessed from it, unlike a password.
    return hashlib.sha256(text.encode()).hexdigest()


def insert_workspace(tx: WriteTransaction, workspace_id: str) -> None:
    """Record a workspace unless it is there."""
    insert_unless_there(tx, workspaces, id=workspace_id, created_at=tx.now())


@dataclass(frozen=True)
class Workspace:
    id: str
    dataset_count: int
    token_count: int


def list_workspaces(tx: ReadTransaction) -> list[Workspace]:
    """All workspaces, by name, with how many datasets and valid tokens each has."""
    of_datasets = select(func.count()).where(datasets.c.workspace_id == workspaces.c.id).scalar_subquery()
    is_valid = and_(
        tokens.c.workspace_id == workspaces.c.id,
        tokens.c.revoked_at.is_(None),
        or_(tokens.c.expires_at.is_(None), tokens.c.expires_at > tx.now()),
    )
    of_tokens = select(func.count()).select_from(tokens).where(is_valid).scalar_subquery()
    statement = select(workspaces.c.id, of_datasets.label("datasets"), of_tokens.label("tokens"))
    rows = tx.connection.execute(statement.order_by(workspaces.c.id))
    return [Workspace(id=row.id, dataset_count=row.datasets, token_count=row.tokens) for row in rows]


def insert_token(tx: WriteTransaction, new: NewToken, *, text: str) -> Token:
    now = tx.now()
    tx.connection.execute(
        insert(tokens).values(
            id=new.id,
            workspace_id=new.workspace_id,
            name=new.name,
            role=new.role.value,
            token_hash=hash_token(text),
            created_at=now,
            expires_at=new.expires_at,
        )
    )
    return Token(
        id=new.id,
        workspace_id=new.workspace_id,
        name=new.name,
        role=new.role,
        created_at=now,
        expires_at=new.expires_at,
        revoked_at=None,
    )


def find_token(tx: ReadTransaction, text: str) -> Token | None:
    """The token of that text, if it is valid now.

    The look-up is by hash, so its timing says nothing about the text; the comparison that decides is constant-time.
    """
    hashed = hash_token(text)
    row = tx.connection.execute(select(tokens).where(tokens.c.token_hash == hashed)).one_or_none()
    if row is None or not hmac.compare_digest(row.token_hash, hashed):
        return None
    return _token(row) if _is_valid(tx, row) else None


def get_valid_token(tx: ReadTransaction, token_id: UUID) -> Token | None:
    """The token of that id, if it is valid now."""
    row = tx.connection.execute(select(tokens).where(tokens.c.id == token_id)).one_or_none()
    return None if row is None or not _is_valid(tx, row) else _token(row)


def _is_valid(tx: ReadTransaction, row: Row[Any]) -> bool:
    is_expired = row.expires_at is not None and row.expires_at <= tx.now()
    return row.revoked_at is None and not is_expired


def end_session(tx: WriteTransaction, nonce: str, *, valid_for: timedelta) -> None:
    """Remember that a session was ended, for as long as its cookie would be good."""
    now = tx.now()
    tx.connection.execute(delete(ended_sessions).where(ended_sessions.c.forget_at <= now))
    insert_unless_there(tx, ended_sessions, nonce_hash=hash_token(nonce), forget_at=now + valid_for)


def is_ended(tx: ReadTransaction, nonce: str) -> bool:
    hashed = ended_sessions.c.nonce_hash == hash_token(nonce)
    return tx.connection.execute(select(ended_sessions.c.nonce_hash).where(hashed)).one_or_none() is not None


def list_tokens(tx: ReadTransaction) -> list[Token]:
    """All tokens, those that are no longer valid included, oldest first."""
    return [_token(row) for row in tx.connection.execute(select(tokens).order_by(tokens.c.created_at, tokens.c.id))]


def has_tokens(tx: ReadTransaction) -> bool:
    return tx.connection.execute(select(tokens.c.id).limit(1)).one_or_none() is not None


def revoke_token(tx: WriteTransaction, token_id: UUID) -> None:
    """End a token's validity; one that was revoked before stays so."""
    row = tx.connection.execute(select(tokens.c.revoked_at).where(tokens.c.id == token_id)).one_or_none()
    if row is None:
        raise NotFound(f"No token has the id {token_id}.", code=ErrorCode.UNKNOWN_TOKEN)
    if row.revoked_at is None:
        tx.connection.execute(update(tokens).where(tokens.c.id == token_id).values(revoked_at=tx.now()))


def get_or_make_secret(tx: WriteTransaction, name: str) -> bytes:
    """The service's secret of that name, made on first use, the same for every process on this database."""
    insert_unless_there(tx, secrets, name=name, value=random.token_hex(32))
    value: str = tx.connection.execute(select(secrets.c.value).where(secrets.c.name == name)).scalar_one()
    return bytes.fromhex(value)


def _token(row: Row[Any]) -> Token:
    return Token(
        id=row.id,
        workspace_id=row.workspace_id,
        name=row.name,
        role=Role(row.role),
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
    )
