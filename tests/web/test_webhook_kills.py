"""A server that is killed while it sends a webhook: it is sent again after a restart, and is known to be the same."""

import json
import threading
from pathlib import Path

import pytest
from sqlalchemy import update
from standardwebhooks import Webhook

from assay.db.engine import open_database
from assay.db.tables import webhook_deliveries
from services.callers import AGES, ages_csv, wait_until
from services.processes import descendants, kill
from services.receiving import receiving
from services.serving import TOKEN, calling, serving


def let_leases_lapse(folder: Path) -> None:
    """As if the dead server's lease had been taken a whole lease earlier: nobody waits here for a minute."""
    db = open_database(f"sqlite:///{folder / 'data' / 'assay.db'}")
    with db.write() as tx:
        tx.connection.execute(update(webhook_deliveries).values(lease_until=tx.now()))
    db.close()


@pytest.mark.parametrize("lapses_later", [False, True], ids=["lapsed at the restart", "lapses later"])
def test_webhook_in_mid_delivery_is_delivered_again_with_the_same_id(tmp_path: Path, lapses_later: bool) -> None:
    arrived, release = threading.Event(), threading.Event()

    def hold_the_first(before: int) -> tuple[int, dict[str, str]]:
        if not release.is_set():
            arrived.set()
            release.wait(60)
        return 204, {}

    allowed = {"ASSAY_BOOTSTRAP_TOKEN": TOKEN, "ASSAY_WEBHOOK_PRIVATE_NETWORKS": "true"}
    with receiving() as receiver, serving(tmp_path, **allowed) as server:
        receiver.answer = hold_the_first
        with calling(server) as caller:
            made = caller.request("POST", "/webhooks", json={"url": receiver.url}).json()
            dataset_id = caller.make_dataset(schema=AGES)
            assert caller.import_file(dataset_id, ages_csv(1, 2))["status"] == "complete"
            log = f"/webhooks/{made['id']}/deliveries"
            assert arrived.wait(30), "the receiver has got the request, and has not answered it"
            (begun,) = caller.read(log)["results"]
        assert (begun["state"], begun["attempts"]) == ("waiting", 1)
        family = descendants(server.id)
        for process_id in (server.id, *family):
            kill(process_id)
        assert server.wait(20)
        release.set()  # the answer goes to nobody
        wait_until(lambda: len(receiver.received) == 1, what="the first request is noted")
        if not lapses_later:
            let_leases_lapse(tmp_path)
        server.start()
        server.wait_until_ready()
        if lapses_later:
            assert len(receiver.received) == 1  # it might be under way still, for all that anybody knows
            let_leases_lapse(tmp_path)
        wait_until(lambda: len(receiver.received) == 2, what="it is sent again")
        with calling(server) as caller:
            delivered = wait_until(
                lambda: [row for row in caller.read(log)["results"] if row["state"] == "delivered"], what="the note"
            )
    first, second = receiver.received
    assert [(row["id"], row["attempts"], row["last_status"]) for row in delivered] == [(begun["id"], 2, 204)]
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == begun["id"]
    assert first.body == second.body
    assert json.loads(second.body)["data"]["accepted_count"] == 2
    for received in (first, second):
        assert Webhook(made["secret"]).verify(received.body, received.headers)
