"""A workspace's webhook endpoints, and the deliveries that are to be made to them: noted, claimed, made or given up."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, delete, exists, func, insert, select, update

from assay.db.engine import WEBHOOK_LOCK, ReadTransaction, WriteTransaction, take_turn
from assay.db.tables import EPOCH, webhook_deliveries, webhook_endpoints
from assay.ids import new_id
from assay.jobs import Import, State


class DeliveryState(StrEnum):
    """Where a delivery stands."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    GIVEN_UP = "given_up"


@dataclass(frozen=True)
class Endpoint:
    """Where a workspace is told of what ends. Its secret is for signing alone."""

    id: UUID
    workspace_id: str
    url: str
    created_at: datetime
    created_by: str


@dataclass(frozen=True)
class Delivery:
    """What one endpoint is told of one job, and how far that has come."""

    id: UUID
    job_id: UUID
    dataset_id: UUID
    event_type: str
    created_at: datetime
    state: DeliveryState
    attempts: int
    next_attempt_at: datetime
    last_attempt_at: datetime | None
    last_status: int | None
    last_error: str | None


@dataclass(frozen=True)
class ClaimedDelivery:
    """A delivery in a worker's hands: `attempt` is the one it is to make, by which it is known to hold it still."""

    id: UUID
    job_id: UUID
    attempt: int
    body: str
    url: str
    secret: str
    claimed_at: datetime


def insert_endpoint(
    tx: WriteTransaction, endpoint_id: UUID, *, workspace_id: str, url: str, secret: str, created_by: str
) -> Endpoint:
    endpoint = Endpoint(id=endpoint_id, workspace_id=workspace_id, url=url, created_at=tx.now(), created_by=created_by)
    tx.connection.execute(insert(webhook_endpoints).values(**vars(endpoint), secret=secret))
    return endpoint


def get_endpoint(tx: ReadTransaction, endpoint_id: UUID) -> Endpoint | None:
    row = tx.connection.execute(select(webhook_endpoints).where(webhook_endpoints.c.id == endpoint_id)).one_or_none()
    return None if row is None else _endpoint(row)


def list_endpoints(tx: ReadTransaction, workspace_id: str) -> list[Endpoint]:
    """Newest first."""
    statement = select(webhook_endpoints).where(webhook_endpoints.c.workspace_id == workspace_id)
    return [_endpoint(row) for row in tx.connection.execute(statement.order_by(webhook_endpoints.c.id.desc()))]


def delete_endpoint(tx: WriteTransaction, endpoint_id: UUID) -> None:
    """With its deliveries, made or not."""
    tx.connection.execute(delete(webhook_endpoints).where(webhook_endpoints.c.id == endpoint_id))


def note_end(tx: WriteTransaction, job: Import) -> None:
    """Note, in the transaction that ends a job, that its workspace's endpoints are to hear of it."""
    of_workspace = webhook_endpoints.c.workspace_id == job.workspace_id
    endpoint_ids: Sequence[UUID] = (
        tx.connection.execute(select(webhook_endpoints.c.id).where(of_workspace)).scalars().all()
    )
    if not endpoint_ids:
        return
    event_type = f"{job.kind.value}.{job.state.value}"
    now = tx.now()
    row = {
        "job_id": job.id,
        "dataset_id": job.dataset_id,
        "event_type": event_type,
        "body": json.dumps(_event(job, event_type, at=now), ensure_ascii=False),
        "created_at": now,
        "state": DeliveryState.WAITING.value,
        "next_attempt_at": now,
    }
    rows = [row | {"id": new_id(), "endpoint_id": endpoint_id} for endpoint_id in endpoint_ids]
    tx.connection.execute(insert(webhook_deliveries), rows)


def _event(job: Import, event_type: str, *, at: datetime) -> dict[str, Any]:
    """What is told: how the job ended, in the words of its status, and nothing of its records."""
    data: dict[str, Any] = {
        "workspace_id": job.workspace_id,
        "dataset_id": str(job.dataset_id),
        f"{job.kind.value}_id": str(job.id),
        "status": job.state.value,
    }
    if job.filename:
        data["filename"] = job.filename
    if job.state in (State.COMPLETE, State.PARTIAL):
        data |= {"accepted_count": job.counts.accepted, "duplicate_count": job.counts.duplicate}
    data["rejected_count"] = job.counts.rejected
    if job.reason is not None:
        data["reason"] = job.reason
    return {"type": event_type, "timestamp": at.isoformat().replace("+00:00", "Z"), "data": data}


def list_deliveries(tx: ReadTransaction, endpoint_id: UUID, *, limit: int, before: UUID | None) -> list[Delivery]:
    """Newest first; `before` is the last id of the page before."""
    statement = select(webhook_deliveries).where(webhook_deliveries.c.endpoint_id == endpoint_id)
    if before is not None:
        statement = statement.where(webhook_deliveries.c.id < before)
    rows = tx.connection.execute(statement.order_by(webhook_deliveries.c.id.desc()).limit(limit))
    return [_delivery(row) for row in rows]


def count_deliveries(tx: ReadTransaction) -> dict[DeliveryState, int]:
    statement = select(webhook_deliveries.c.state, func.count().label("deliveries"))
    rows = tx.connection.execute(statement.group_by(webhook_deliveries.c.state))
    return {DeliveryState(row.state): row.deliveries for row in rows}


def has_ended_before(tx: ReadTransaction, moment: datetime) -> bool:
    """Whether there is a delivery to forget: asked often, so it takes no lock."""
    statement = select(webhook_deliveries.c.id).where(_ended_before(moment)).limit(1)
    return tx.connection.execute(statement).one_or_none() is not None


def forget_ended_before(tx: WriteTransaction, moment: datetime, *, limit: int) -> int:
    """Forget deliveries that were made or given up before that moment, at most so many; how many they were."""
    take_turn(tx, WEBHOOK_LOCK)  # or two workers that forget the same ones could wait for each other
    oldest = (
        select(webhook_deliveries.c.id)
        .where(_ended_before(moment))
        .order_by(webhook_deliveries.c.next_attempt_at)
        .limit(limit)
    )
    return tx.connection.execute(delete(webhook_deliveries).where(webhook_deliveries.c.id.in_(oldest))).rowcount


def _ended_before(moment: datetime) -> ColumnElement[bool]:
    """An attempt is never made before its time, so the first comparison takes nothing away: it is what an index has."""
    states = [DeliveryState.DELIVERED.value, DeliveryState.GIVEN_UP.value]
    return (
        webhook_deliveries.c.state.in_(states)
        & (webhook_deliveries.c.next_attempt_at <= moment)
        & (webhook_deliveries.c.last_attempt_at <= moment)
    )


def has_due_delivery(tx: ReadTransaction) -> bool:
    """Whether a claim may find something: the question that is asked often, so it takes no lock."""
    statement = select(webhook_deliveries.c.id).where(
        webhook_deliveries.c.state == DeliveryState.WAITING.value,
        webhook_deliveries.c.next_attempt_at <= tx.now(),
        webhook_deliveries.c.lease_until <= tx.now(),
    )
    return tx.connection.execute(statement.limit(1)).one_or_none() is not None


def claim_delivery(tx: WriteTransaction, *, lease: timedelta) -> ClaimedDelivery | None:
    """Take the delivery that has been due longest of the endpoint whose turn it is, and to which nobody is sending now.

    The attempt is counted here, so that one that takes its worker down is counted too.
    """
    take_turn(tx, WEBHOOK_LOCK)
    now = tx.now()
    is_waiting = webhook_deliveries.c.state == DeliveryState.WAITING.value
    is_due = is_waiting & (webhook_deliveries.c.next_attempt_at <= now)
    busy = select(webhook_deliveries.c.endpoint_id).where(is_waiting, webhook_deliveries.c.lease_until > now)
    has_due = exists().where(webhook_deliveries.c.endpoint_id == webhook_endpoints.c.id, is_due)
    turn = select(webhook_endpoints).where(webhook_endpoints.c.id.not_in(busy), has_due)
    endpoint = tx.connection.execute(turn.order_by(webhook_endpoints.c.last_claimed_at).limit(1)).one_or_none()
    if endpoint is None:
        return None
    due = select(webhook_deliveries).where(webhook_deliveries.c.endpoint_id == endpoint.id, is_due)
    row = tx.connection.execute(
        due.order_by(webhook_deliveries.c.next_attempt_at, webhook_deliveries.c.id).limit(1)
    ).one()
    attempt = row.attempts + 1
    claimed = {"attempts": attempt, "lease_until": now + lease, "last_attempt_at": now}
    tx.connection.execute(update(webhook_deliveries).where(webhook_deliveries.c.id == row.id).values(**claimed))
    its_turn = update(webhook_endpoints).where(webhook_endpoints.c.id == endpoint.id)
    tx.connection.execute(its_turn.values(last_claimed_at=now))
    return ClaimedDelivery(
        id=row.id,
        job_id=row.job_id,
        attempt=attempt,
        body=row.body,
        url=endpoint.url,
        secret=endpoint.secret,
        claimed_at=now,
    )


def note_delivered(tx: WriteTransaction, claimed: ClaimedDelivery, *, status: int) -> None:
    _note(tx, claimed, state=DeliveryState.DELIVERED.value, last_status=status, last_error=None)


def note_failure(
    tx: WriteTransaction, claimed: ClaimedDelivery, *, status: int | None, error: str, retry_after: timedelta | None
) -> None:
    """An attempt failed. Without `retry_after` it was the last one."""
    if retry_after is None:
        _note(tx, claimed, state=DeliveryState.GIVEN_UP.value, last_status=status, last_error=error)
    else:
        _note(tx, claimed, next_attempt_at=tx.now() + retry_after, last_status=status, last_error=error)


def _note(tx: WriteTransaction, claimed: ClaimedDelivery, **values: Any) -> None:
    """Nothing happens where the lease has passed on: whoever has the delivery now will note its own attempt."""
    is_held = (webhook_deliveries.c.id == claimed.id) & (webhook_deliveries.c.attempts == claimed.attempt)
    tx.connection.execute(update(webhook_deliveries).where(is_held).values(lease_until=EPOCH, **values))


def _endpoint(row: Row[Any]) -> Endpoint:
    return Endpoint(
        id=row.id,
        workspace_id=row.workspace_id,
        url=row.url,
        created_at=row.created_at,
        created_by=row.created_by,
    )


def _delivery(row: Row[Any]) -> Delivery:
    return Delivery(
        id=row.id,
        job_id=row.job_id,
        dataset_id=row.dataset_id,
        event_type=row.event_type,
        created_at=row.created_at,
        state=DeliveryState(row.state),
        attempts=row.attempts,
        next_attempt_at=row.next_attempt_at,
        last_attempt_at=row.last_attempt_at,
        last_status=row.last_status,
        last_error=row.last_error,
    )
