"""A caller of the HTTP API with a token of one workspace: what tests of the service say about it, in few words."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx

API = "/api/v1/data-collection"
SETTLED = {"complete", "partial", "failed", "pending_schema"}
PATIENCE_SECONDS = 30

AGES: dict[str, Any] = {"strict": True, "fields": {"age": {"type": "integer", "exclusiveMinimum": 0}}}
TEXTS: dict[str, Any] = {"fields": {"text": {"type": "text"}}}

Found = TypeVar("Found")


@dataclass(frozen=True)
class Caller:
    """`request` takes paths below the API's base path; the others stand for the steps of an import."""

    client: httpx.Client
    workspace_id: str
    token: str

    def request(self, method: str, path: str, **more: Any) -> httpx.Response:
        headers = {"Authorization": f"Token {self.token}", **more.pop("headers", {})}
        return self.client.request(method, API + path, headers=headers, **more)

    def get(self, path: str, **params: Any) -> httpx.Response:
        return self.request("GET", path, params=params or None)

    def read(self, path: str, **params: Any) -> Any:
        """The JSON of a GET that must go well."""
        answer = self.get(path, **params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def make_dataset(self, *, name: str = "Survey", schema: dict[str, Any] | None = None) -> str:
        body: dict[str, Any] = {"name": name, "workspace_id": self.workspace_id}
        if schema is not None:
            body["schema"] = schema
        answer = self.request("POST", "/datasets", json=body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def ask_for_url(self, dataset_id: str, filename: str = "answers.csv") -> dict[str, Any]:
        answer = self.get(f"/datasets/{dataset_id}/upload-url/{filename}")
        assert answer.status_code == 201, answer.text
        offer: dict[str, Any] = answer.json()
        return offer

    def put(self, offer: dict[str, Any], data: Any, *, content_type: str | None = None) -> httpx.Response:
        headers = {"Content-Type": offer["content_type"] if content_type is None else content_type}
        return self.client.put(offer["upload_url"], content=data, headers=headers)

    def upload(self, dataset_id: str, data: bytes, filename: str = "answers.csv") -> str:
        """Upload a file and do not wait; the import's id."""
        offer = self.ask_for_url(dataset_id, filename)
        answer = self.put(offer, data)
        assert answer.status_code == 200, answer.text
        return str(offer["import_id"])

    def job(self, dataset_id: str, import_id: str, **params: Any) -> dict[str, Any]:
        job: dict[str, Any] = self.read(f"/datasets/{dataset_id}/imports/{import_id}", **params)
        return job

    def settled(self, dataset_id: str, import_id: str) -> dict[str, Any]:
        """The job once its status is one at which a client stops polling."""
        job = self.job(dataset_id, import_id, wait=PATIENCE_SECONDS)
        assert job["status"] in SETTLED, job
        return job

    def import_file(self, dataset_id: str, data: bytes, filename: str = "answers.csv") -> dict[str, Any]:
        return self.settled(dataset_id, self.upload(dataset_id, data, filename))

    def records(self, dataset_id: str) -> list[dict[str, Any]]:
        """All accepted records of a dataset, page by page."""
        found: list[dict[str, Any]] = []
        page = self.read(f"/datasets/{dataset_id}/datapoints", limit=1000)
        found.extend(page["results"])
        while page["next_cursor"] is not None:
            page = self.read(f"/datasets/{dataset_id}/datapoints", limit=1000, cursor=page["next_cursor"])
            found.extend(page["results"])
        return found


def wait_until(find: Callable[[], Found | None], *, what: str, seconds: float = PATIENCE_SECONDS) -> Found:
    """What `find` finds, asked for until it is something true, for a bounded time."""
    deadline = time.monotonic() + seconds
    while not (found := find()):
        assert time.monotonic() < deadline, f"waited {seconds} s in vain: {what}"
        time.sleep(0.02)
    return found


def ages_csv(*ages: object) -> bytes:
    return ("age\n" + "".join(f"{age}\n" for age in ages)).encode()
