"""The log of a whole session of a real server: it tells what happened, by ids, and holds no secret and no record."""

import json
from pathlib import Path

import pytest

from services.callers import AGES, API, PATIENCE_SECONDS, Caller
from services.serving import TOKEN, calling, serving

SCHEMA = {"fields": {**AGES["fields"], "note": {"type": "text", "maxLength": 60}}}
CONTENT = "zebra-crossing"
LONG_CONTENT = f"{CONTENT} " * 8
FILE = f"age,note\n1,{CONTENT}\nx,{CONTENT}\n{CONTENT},a\n3,{LONG_CONTENT}\n4,{CONTENT},{CONTENT}\n".encode()


def session(caller: Caller) -> dict[str, str]:
    """An import with rejected records, an append, and faults of many kinds; the ids that a log may name."""
    dataset_id = caller.make_dataset(name=f"{CONTENT} set", schema=SCHEMA)
    offer = caller.ask_for_url(dataset_id, f"{CONTENT}.csv")
    caller.put(offer, FILE, content_type=CONTENT)
    caller.put(offer, FILE)
    job = caller.job(dataset_id, offer["import_id"], wait=PATIENCE_SECONDS)
    assert job["rejected_count"] == 4
    secret_path = offer["upload_url"].rpartition("/")[2]
    lines = f'{{"age": 7, "note": "{CONTENT}"}}\n{{"age": "{CONTENT}"}}\n{CONTENT}\n'
    jsonl = {"Content-Type": "application/x-ndjson"}
    caller.request("POST", f"/datasets/{dataset_id}/datapoints", content=lines, headers=jsonl)
    caller.request("POST", "/datasets", content=f'{{"name": "{CONTENT}'.encode())
    caller.request("PATCH", f"/datasets/{dataset_id}", json={"schema": {"fields": {CONTENT: {"type": CONTENT}}}})
    for path in ("datapoints", "export?format=csv", f"imports/{offer['import_id']}/rejected", "export?format=jsonl"):
        assert CONTENT in caller.get(f"/datasets/{dataset_id}/{path}").text
    caller.get("/datasets", workspace_id=CONTENT, cursor=CONTENT)
    caller.client.get(f"{API}/datasets", headers={"Authorization": f"Token {TOKEN}-{CONTENT}"})
    caller.client.put(f"/uploads/{secret_path}x", content=FILE)
    return {"dataset_id": dataset_id, "job_id": offer["import_id"], "secret_path": secret_path}


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_log_of_a_session_tells_what_happened_and_no_secret(tmp_path: Path, log_format: str) -> None:
    environment = {"ASSAY_BOOTSTRAP_TOKEN": TOKEN, "ASSAY_LOG_FORMAT": log_format}
    with serving(tmp_path, **environment) as process:
        with calling(process) as caller:
            ids = session(caller)
        output = process.output()
    assert "PUT /uploads/(signed) 200" in output
    assert ids["job_id"] in output
    assert TOKEN not in output
    assert ids["secret_path"] not in output
    # A file's name stands in the path that asks for its URL; all other content of this word is a record's or a body's.
    without_paths = [line for line in output.splitlines() if "/upload-url/" not in line]
    assert not [line for line in without_paths if CONTENT in line]
    if log_format == "json":
        assert_structured(without_paths, ids)


def assert_structured(lines: list[str], ids: dict[str, str]) -> None:
    parsed = [json.loads(line) for line in lines if not line.startswith("Assay is ready")]
    of_worker = [line for line in parsed if line["logger"] == "assay.worker"]
    assert any(line.get("job_id") == ids["job_id"] and line["attempt"] == 1 for line in of_worker)
    of_requests = [line for line in parsed if line["logger"] == "assay.requests"]
    assert len({line["request_id"] for line in of_requests}) == len(of_requests) >= 10
    assert all({"method", "path", "status", "duration_ms"} <= set(line) for line in of_requests)
    assert any("token_id" in line for line in of_requests)
