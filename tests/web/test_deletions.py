"""Deleting a dataset over HTTP."""

from assay.db.tokens import Role
from assay.ids import new_id
from assay.sweeping import sweep_files
from assay.web.services import Services
from services.callers import AGES, Caller, ages_csv, wait_until
from services.in_process import client_of
from web.conftest import make_app, make_token
from web.public_shapes import ERROR, assert_shape


def test_deleted_dataset_is_gone_with_its_imports_and_files(importer: Caller, busy_services: Services) -> None:
    dataset_id, other = importer.make_dataset(schema=AGES), importer.make_dataset(schema=AGES)
    import_id = importer.import_file(dataset_id, ages_csv(1, -1))["import_id"]
    importer.import_file(other, ages_csv(1))
    assert list(busy_services.storage.list(f"datasets/{dataset_id}"))
    answer = importer.request("DELETE", f"/datasets/{dataset_id}")
    assert (answer.status_code, answer.content) == (204, b"")
    wait_until(
        lambda: not list(busy_services.storage.list(f"datasets/{dataset_id}")), what="a worker removes the files"
    )
    for path in ("", "/status", "/datapoints", "/export", f"/imports/{import_id}", f"/imports/{import_id}/rejected"):
        again = importer.get(f"/datasets/{dataset_id}{path}")
        assert again.status_code == 404, path
        assert_shape(again.json(), ERROR)
    assert importer.request("DELETE", f"/datasets/{dataset_id}").status_code == 404
    assert [dataset["id"] for dataset in importer.read("/datasets")["results"]] == [other]
    assert len(importer.records(other)) == 1


def test_unknown_dataset_is_not_found(caller: Caller) -> None:
    for dataset_id in (str(new_id()), "no-uuid"):
        assert caller.request("DELETE", f"/datasets/{dataset_id}").status_code == 404


def test_reader_and_foreign_workspace_delete_nothing(caller: Caller, services: Services) -> None:
    dataset_id = caller.make_dataset()
    tokens = [
        make_token(services.db, workspace_id="home", role=Role.READER),
        make_token(services.db, workspace_id="elsewhere"),
    ]
    with client_of(make_app(services)) as client:
        for token in tokens:
            assert Caller(client, "home", token).request("DELETE", f"/datasets/{dataset_id}").status_code == 403
    assert caller.read(f"/datasets/{dataset_id}")["id"] == dataset_id


def test_dataset_is_deleted_while_an_import_waits(caller: Caller) -> None:
    dataset_id = caller.make_dataset(schema=AGES)
    offer = caller.ask_for_url(dataset_id)
    caller.upload(dataset_id, ages_csv(1))
    assert caller.request("DELETE", f"/datasets/{dataset_id}").status_code == 204
    assert caller.put(offer, ages_csv(2)).status_code == 404


def test_service_goes_on_after_a_dataset_was_deleted_under_a_running_import(importer: Caller) -> None:
    dataset_id = importer.make_dataset(schema=AGES)
    importer.upload(dataset_id, ages_csv(*range(1, 200_000)))
    assert importer.request("DELETE", f"/datasets/{dataset_id}").status_code == 204
    other = importer.make_dataset(schema=AGES)
    assert importer.import_file(other, ages_csv(1, 2))["status"] == "complete"


def test_deletion_leaves_the_files_to_a_worker(caller: Caller, services: Services) -> None:
    """However many they are, no thread that answers requests waits for the storage."""
    dataset_id = caller.make_dataset(schema=AGES)
    caller.upload(dataset_id, ages_csv(1))
    assert caller.request("DELETE", f"/datasets/{dataset_id}").status_code == 204
    assert list(services.storage.list(f"datasets/{dataset_id}"))
    sweep_files(services.db, services.storage)
    assert list(services.storage.list(f"datasets/{dataset_id}")) == []
