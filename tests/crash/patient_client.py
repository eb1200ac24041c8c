"""A client as real ones are: what was cut off or answered with 5xx it does again, until it has an answer."""

import itertools
import time
from collections.abc import Sequence
from typing import Any

import httpx

API = "/api/v1/data-collection"
TERMINAL = {"complete", "partial", "failed"}
PATIENCE_SECONDS = 120
PAUSE_SECONDS = 0.1
BODY_INCOMPLETE = 1005


class PatientClient:
    """Speaks to any of several replicas: to another when one does not answer."""

    def __init__(self, addresses: Sequence[str], token: str) -> None:
        self._client = httpx.Client(timeout=30)
        self._addresses = itertools.cycle(addresses)
        self._address = next(self._addresses)
        self._headers = {"Authorization": f"Token {token}"}

    def close(self) -> None:
        self._client.close()

    def request(self, method: str, path: str, **more: Any) -> Any:
        """The JSON of an answer that is no error."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        last: object = None
        while time.monotonic() < deadline:
            try:
                answer = self._client.request(method, self._address + API + path, headers=self._headers, **more)
            except httpx.TransportError as error:
                last, self._address = error, next(self._addresses)
            else:
                if answer.is_success:
                    return answer.json()
                assert answer.status_code == 503, f"{method} {path}: {answer.status_code} {answer.text}"
                last = answer.text
            time.sleep(PAUSE_SECONDS)
        raise AssertionError(f"{method} {path} had no answer in {PATIENCE_SECONDS} s: {last!r}")

    def make_dataset(self, schema: dict[str, Any]) -> str:
        body = {"name": "Known", "workspace_id": "default", "schema": schema}
        return str(self.request("POST", "/datasets", json=body)["id"])

    def upload(self, dataset_id: str, name: str, data: bytes) -> str:
        """Upload a file, to the same URL as often as it takes; the import's id."""
        offer = self.request("GET", f"/datasets/{dataset_id}/upload-url/{name}")
        deadline = time.monotonic() + PATIENCE_SECONDS
        last: object = None
        while time.monotonic() < deadline:
            try:
                answer = self._client.put(
                    offer["upload_url"], content=data, headers={"Content-Type": offer["content_type"]}
                )
            except httpx.TransportError as error:
                last = error
            else:
                # "It has its file": an earlier try had arrived, and only its answer was lost.
                if answer.is_success or answer.status_code == 409:
                    return str(offer["import_id"])
                last = answer.text
                assert answer.status_code >= 500 or is_cut(answer), f"PUT: {answer.status_code} {answer.text}"
            time.sleep(PAUSE_SECONDS)
        raise AssertionError(f"the upload of {name} was not taken in {PATIENCE_SECONDS} s: {last!r}")

    def wait_for_end(self, dataset_id: str, import_id: str) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            path = f"/datasets/{dataset_id}/imports/{import_id}"
            job: dict[str, Any] = self.request("GET", path, params={"wait": 5})
            if job["status"] in TERMINAL:
                return job
        raise AssertionError(f"import {import_id} is still {job['status']} after {PATIENCE_SECONDS} s: {job}")

    def records(self, dataset_id: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        cursor: str | None = ""
        while cursor is not None:
            params = {"limit": "1000", **({"cursor": cursor} if cursor else {})}
            page = self.request("GET", f"/datasets/{dataset_id}/datapoints", params=params)
            found += page["results"]
            cursor = page["next_cursor"]
        return found


def is_cut(answer: httpx.Response) -> bool:
    """The server says that the body ended early; or the object store does, in its own words."""
    try:
        return bool(answer.json()["error"]["error_code"] == BODY_INCOMPLETE)
    except ValueError:
        return b"IncompleteBody" in answer.content or b"RequestTimeout" in answer.content
