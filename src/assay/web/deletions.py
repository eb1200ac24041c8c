"""The route that deletes a dataset."""

from fastapi import APIRouter

from assay.deleting import delete_dataset
from assay.web.auth import Writer, dataset_for
from assay.web.errors import responses
from assay.web.parameters import BASE_PATH, DatasetId
from assay.web.services import WithServices

router = APIRouter(prefix=BASE_PATH)


@router.delete(
    "/datasets/{dataset_id}",
    operation_id="delete-dataset",
    summary="Delete a dataset",
    tags=["datasets"],
    status_code=204,
    responses=responses(401, 403, 404),
)
def delete(dataset_id: DatasetId, services: WithServices, token: Writer) -> None:
    """With its imports, records and files, also while an import runs, which is lost. There is no way back.

    The files are removed within seconds, by a worker.
    """
    dataset = dataset_for(services, token, dataset_id)
    delete_dataset(services.db, dataset.id)
