"""One story with a real server: a file with faults goes in, a true report comes out, the mended file goes in again."""

from pathlib import Path
from urllib.parse import quote

from services.callers import Caller
from services.serving import TOKEN, calling, serving
from web.public_shapes import DATAPOINT, DATASET, IMPORT_JOB, UPLOAD_URL, assert_shape, page_of

SCHEMA = {
    "strict": True,
    "fields": {
        "participant": {"type": "text", "pattern": "^P[0-9]+$"},
        "age": {"type": "integer", "label": "Age in years", "exclusiveMinimum": 0},
        "answered": {"type": "datetime"},
        "note": {"type": "text", "required": False},
    },
}
HEADER = "participant,age,answered,note\r\n"
GOOD = ['P1,31,2024-05-01T10:00:00Z,"said: ""yes"", twice\nand left"', "P2,54,2024-05-01T12:00:00+02:00,"]
BAD = ["P3,-2,2024-05-01T10:00:00Z,", "Q4,x,yesterday,", "P5,20"]
MENDED = ["P3,2,2024-05-01T10:00:00Z,", "P4,40,2024-05-02T00:00:00Z,", "P5,20,2024-05-03T00:00:00Z,late"]
FILENAME = "réponses du 1er mai.csv"


def csv(*records: str) -> bytes:
    return b"\xef\xbb\xbf" + (HEADER + "".join(record + "\r\n" for record in records)).encode()


def test_file_with_faults_is_reported_mended_and_read_back(tmp_path: Path) -> None:
    with serving(tmp_path, ASSAY_BOOTSTRAP_TOKEN=TOKEN) as process, calling(process) as caller:
        dataset_id = caller.make_dataset(name="Survey", schema=SCHEMA)
        first = upload_with_faults(caller, dataset_id)
        second = caller.import_file(dataset_id, csv(GOOD[0], *MENDED), "mended.csv")
        assert_shape(second, IMPORT_JOB)
        assert (second["status"], second["accepted_count"], second["duplicate_count"]) == ("complete", 4, 1)
        read_back(caller, dataset_id, first["import_id"], second["import_id"])
        dataset = caller.read(f"/datasets/{dataset_id}")
        assert_shape(dataset, DATASET)
        assert dataset["total_datapoint_count"] == 5
        assert [job["status"] for job in dataset["imports"]] == ["complete", "partial"]
        assert caller.read(f"/datasets/{dataset_id}/status") == {"status": "READY"}


def upload_with_faults(caller: Caller, dataset_id: str) -> dict[str, object]:
    offer = caller.ask_for_url(dataset_id, quote(FILENAME))
    assert_shape(offer, UPLOAD_URL)
    assert caller.job(dataset_id, offer["import_id"])["status"] == "uninitialised"
    assert caller.put(offer, csv(GOOD[0], BAD[0], GOOD[1], BAD[1], BAD[2])).status_code == 200
    job = caller.settled(dataset_id, offer["import_id"])
    assert_shape(job, IMPORT_JOB)
    assert job["filename"] == FILENAME
    assert (job["status"], job["accepted_count"], job["rejected_count"]) == ("partial", 2, 3)
    assert job["errors"] == [
        {"record_index": 1, "field": "age", "reason": "Value must be a positive integer"},
        {"record_index": 3, "field": "participant", "reason": "Value must match ^P[0-9]+$"},
        {"record_index": 4, "field": "_raw", "reason": "Record has 2 cells, but the header has 4"},
    ]
    return job


def read_back(caller: Caller, dataset_id: str, first: object, second: object) -> None:
    page = caller.read(f"/datasets/{dataset_id}/datapoints")
    assert_shape(page, page_of(DATAPOINT))
    found = [(record["import_id"], record["record_index"], record["data"]["age"]) for record in page["results"]]
    assert found == [(first, 0, 31), (first, 2, 54), (second, 1, 2), (second, 2, 40), (second, 3, 20)]
    assert page["results"][0]["data"] == {
        "participant": "P1",
        "age": 31,
        "answered": "2024-05-01T10:00:00.000000Z",
        "note": 'said: "yes", twice\nand left',
    }
    assert page["results"][1]["data"]["answered"] == "2024-05-01T10:00:00.000000Z"
    assert page["results"][1]["data"]["note"] is None
    assert len({record["id"] for record in page["results"]}) == 5
