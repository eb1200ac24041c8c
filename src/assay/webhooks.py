"""Webhooks: a workspace's endpoints, and the sending of what they are to be told, signed as Standard Webhooks has it.

What is to be told is noted by the transaction that ends a job. Any worker sends it, at least once: it is sent again
when nobody can say whether it arrived.
"""

import base64
import logging
import secrets
import threading
import time
from datetime import timedelta
from uuid import UUID

from standardwebhooks import Webhook

from assay import __version__
from assay.db import webhooks
from assay.db.engine import Database
from assay.db.revisions import OtherTablesError, hold_own_tables
from assay.db.webhooks import ClaimedDelivery, Endpoint
from assay.errors import AssayError, Conflict, ErrorCode, Invalid, NotFound
from assay.guarded_post import ANSWER_SECONDS, PostFailed, parse_target, post
from assay.ids import new_id
from assay.log import telling_of, with_cause

log = logging.getLogger("assay.webhooks")

MAX_ENDPOINTS = 20
SECRET_BYTES = 32
# How long after each failed attempt the next one is made: about a day in all.
RETRY_DELAYS = (
    timedelta(seconds=5),
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=8),
    timedelta(hours=10),
)
ENDED_STAY_FOR = timedelta(days=30)  # in the list of deliveries
DELIVERIES_A_SWEEP = 1000
LEASE = timedelta(seconds=6 * ANSWER_SECONDS)  # longer than an attempt with a slow name server takes
SENDERS = 4
POLL_SECONDS = 0.5
STOP_SECONDS = 3.0
GONE = 410


def create_endpoint(
    db: Database, workspace_id: str, *, url: str, created_by: str, private_networks: bool
) -> tuple[Endpoint, str]:
    """A new endpoint and its secret, which is shown this once. `Invalid` for a URL that may not be sent to."""
    parse_target(url, private_networks=private_networks)
    secret = "whsec_" + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()
    with db.write() as tx:
        if len(webhooks.list_endpoints(tx, workspace_id)) >= MAX_ENDPOINTS:
            message = f"A workspace has at most {MAX_ENDPOINTS} webhooks; delete one first."
            raise Conflict(message, code=ErrorCode.TOO_MANY_WEBHOOKS)
        endpoint = webhooks.insert_endpoint(
            tx, new_id(), workspace_id=workspace_id, url=url, secret=secret, created_by=created_by
        )
    return endpoint, secret


def get_endpoint(db: Database, endpoint_id: UUID) -> Endpoint:
    with db.read() as tx:
        endpoint = webhooks.get_endpoint(tx, endpoint_id)
    if endpoint is None:
        raise NotFound("There is no such webhook.", code=ErrorCode.UNKNOWN_WEBHOOK)
    return endpoint


def delete_endpoint(db: Database, endpoint_id: UUID) -> None:
    """With what was still to be sent to it."""
    with db.write() as tx:
        webhooks.delete_endpoint(tx, endpoint_id)


def sweep_deliveries(db: Database) -> int:
    """Forget what was delivered or given up long ago, a bounded number at a time; how many they were."""
    with db.read() as tx:
        until = tx.now() - ENDED_STAY_FOR
        if not webhooks.has_ended_before(tx, until):
            return 0
    with db.write() as tx:
        forgotten = webhooks.forget_ended_before(tx, until, limit=DELIVERIES_A_SWEEP)
    log.info("forgot %d webhooks that were delivered or given up long ago", forgotten)
    return forgotten


def send_next(db: Database, *, private_networks: bool) -> bool:
    """Make one attempt at one delivery that is due; False when there is none."""
    with db.read() as tx:
        if not webhooks.has_due_delivery(tx):
            return False
    with db.write() as tx:
        hold_own_tables(tx)
        claimed = webhooks.claim_delivery(tx, lease=LEASE)
    if claimed is None:
        return False
    with telling_of(delivery_id=str(claimed.id), job_id=str(claimed.job_id), attempt=claimed.attempt):
        _attempt(db, claimed, private_networks=private_networks)
    return True


def _attempt(db: Database, claimed: ClaimedDelivery, *, private_networks: bool) -> None:
    status: int | None = None
    error: str | None = None
    try:
        status = _send(claimed, private_networks=private_networks)
        if not 200 <= status < 300:
            error = f"answered {status}" + ("; redirects are not followed" if 300 <= status < 400 else "")
    except (PostFailed, Invalid) as failure:
        error = str(failure)
    is_last = claimed.attempt > len(RETRY_DELAYS) or status == GONE
    with db.write() as tx:
        if error is None and status is not None:
            webhooks.note_delivered(tx, claimed, status=status)
        else:
            retry_after = None if is_last else RETRY_DELAYS[claimed.attempt - 1]
            webhooks.note_failure(tx, claimed, status=status, error=error or "", retry_after=retry_after)
    if error is None:
        log.info("webhook %s is delivered", claimed.id)
    else:
        log.warning("webhook %s: %s; %s", claimed.id, error, "given up" if is_last else "to be sent again")


def _send(claimed: ClaimedDelivery, *, private_networks: bool) -> int:
    body = claimed.body
    headers = {
        "Content-Type": "application/json",
        "User-Agent": f"Assay/{__version__}",
        # The same for all attempts at a delivery: by it a receiver knows that it has it already.
        "webhook-id": str(claimed.id),
        "webhook-timestamp": str(int(claimed.claimed_at.timestamp())),
        "webhook-signature": Webhook(claimed.secret).sign(str(claimed.id), claimed.claimed_at, body),
    }
    return post(parse_target(claimed.url, private_networks=private_networks), body.encode(), headers)


class WebhookSender:
    """Holds the threads that send what is due, until it is stopped. Several of them, anywhere, share the work."""

    def __init__(self, db: Database, *, private_networks: bool) -> None:
        self._db = db
        self._private_networks = private_networks
        self._is_stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._send_until_stopped, name=f"assay-webhooks-{number}", daemon=True)
            for number in range(SENDERS)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Waits a moment for attempts in hand; one that is cut off is made again when its lease has lapsed."""
        self._is_stopping.set()
        deadline = time.monotonic() + STOP_SECONDS
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(0.0, deadline - time.monotonic()))

    def _send_until_stopped(self) -> None:
        while not self._is_stopping.is_set():
            has_sent = False
            try:
                has_sent = send_next(self._db, private_networks=self._private_networks)
            except OtherTablesError:  # of which the worker beside tells
                self._is_stopping.wait(ANSWER_SECONDS)
            except AssayError as error:
                log.warning("webhooks have to wait: %s", with_cause(error))
                self._is_stopping.wait(ANSWER_SECONDS)
            except Exception:
                log.exception("sending a webhook failed by a fault of the service")
                self._is_stopping.wait(ANSWER_SECONDS)
            if not has_sent:
                self._is_stopping.wait(POLL_SECONDS)
