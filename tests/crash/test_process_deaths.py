"""No process outlives the one that it works for."""

import signal
from random import Random

import pytest

from crash.comparing import compare
from crash.known_files import SCHEMA, make_files
from crash.place import Place
from services.callers import wait_until
from services.processes import descendants, is_alive, kill, pool_children


@pytest.mark.parametrize("command", ["server", "worker"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_no_process_survives_the_death_of_its_parent(place: Place, command: str, number: signal.Signals) -> None:
    process = place.server(workers=2) if command == "server" else place.worker(workers=2)
    wait_until(lambda: len(pool_children(process.id)) == 2, what="the pool's children start")
    family = descendants(process.id)
    process.send(number)
    assert process.wait(10)
    wait_until(lambda: not any(is_alive(each) for each in family), what="all others end too", seconds=10)


def test_children_that_all_die_at_once_are_replaced(place: Place) -> None:
    server = place.server(workers=2)
    client = place.client()
    wait_until(lambda: len(pool_children(server.id)) == 2, what="the pool's children start")
    for process_id in descendants(server.id):
        kill(process_id)
    files = make_files(Random(1), files=1, records=300)
    dataset_id = client.make_dataset(SCHEMA)
    jobs = [client.wait_for_end(dataset_id, client.upload(dataset_id, each.name, each.data)) for each in files]
    assert compare(client, dataset_id, files, jobs).wrong == []
