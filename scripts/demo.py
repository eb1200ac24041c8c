"""What `make demo` runs: the real service on a free port with a fresh data directory, fed with samples/ over HTTP.

It knows the service only as a client does: its command, its HTTP API and nothing of its code. It ends with exit code 0,
nothing left running and nothing left on the disk, or says what went wrong and shows the end of the service's log.
"""

import json
import os
import re
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx

ROOT = Path(__file__).parent.parent
SAMPLES = ROOT / "samples"
API = "/api/v1/data-collection"
START_SECONDS = 60
STOP_SECONDS = 20
IMPORT_SECONDS = 60
LOG_LINES_SHOWN = 40

Found = TypeVar("Found")


class DemoFailed(Exception):
    """The service did not do what it should have."""


def main() -> int:
    # A demo that is told to stop still has to stop its service.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory(prefix="assay-demo-") as folder:
        log = Path(folder) / "service.log"
        try:
            with running_service(Path(folder) / "data", log=log) as client:
                tell_story(client)
        except KeyboardInterrupt:
            return 130
        except BrokenPipeError:  # whoever read the output has seen enough, as `head` does
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        except (DemoFailed, httpx.HTTPError, OSError) as error:
            print(f"\nThe demo failed: {error}", file=sys.stderr)
            print(f"The end of the service's log:\n{tail(log)}", file=sys.stderr)
            return 1
    print("\nThe service has ended, and its data directory is gone. To start one that stays:\n")
    print("    .venv/bin/assay serve")
    return 0


def tell_story(client: httpx.Client) -> None:
    """Import the samples one by one and show what the API answers."""
    print(f"Assay is running at {client.base_url.copy_with(path='/')} and gets the files of samples/ over HTTP.")
    print("For each one: POST /datasets, GET its upload URL, PUT the file there, GET the import, GET the records.")

    heading("survey.csv: most of it is good, some of it is not")
    dataset_id = create_dataset(client, "Survey", schema=read_schema("survey"))
    show_report(import_file(client, dataset_id, name="survey.csv"), expected="partial")
    show_datapoints(client, dataset_id)

    heading("responses.jsonl: the same for JSON Lines")
    dataset_id = create_dataset(client, "Responses", schema=read_schema("responses"))
    show_report(import_file(client, dataset_id, name="responses.jsonl"), expected="partial")
    show_datapoints(client, dataset_id)

    heading("catalogue.jsonl: uploaded before its dataset has a schema, so it waits")
    dataset_id = create_dataset(client, "Catalogue", schema=None)
    waiting = import_file(client, dataset_id, name="catalogue.jsonl")
    show_report(waiting, expected="pending_schema")

    heading("catalogue.jsonl: the schema is set, which releases the upload")
    call(client, "PATCH", f"/datasets/{dataset_id}", json={"schema": read_schema("catalogue")})
    show_report(settled_import(client, dataset_id, import_id=waiting["import_id"]), expected="complete")
    show_datapoints(client, dataset_id)


def create_dataset(client: httpx.Client, name: str, *, schema: dict[str, Any] | None) -> str:
    body: dict[str, Any] = {"name": name, "workspace_id": "default"}
    if schema is not None:
        body["schema"] = schema
    dataset_id: str = call(client, "POST", "/datasets", json=body)["id"]
    return dataset_id


def import_file(client: httpx.Client, dataset_id: str, *, name: str) -> dict[str, Any]:
    """Upload one sample and wait for its import job to come to rest."""
    target = call(client, "GET", f"/datasets/{dataset_id}/upload-url/{name}")
    # The upload URL is signed: it needs no token, and must not be given one.
    answer = httpx.put(
        target["upload_url"],
        content=(SAMPLES / name).read_bytes(),
        headers={"Content-Type": target["content_type"]},
        timeout=60,
        trust_env=False,
    )
    checked(answer)
    return settled_import(client, dataset_id, import_id=target["import_id"])


def settled_import(client: httpx.Client, dataset_id: str, *, import_id: str) -> dict[str, Any]:
    """The job once nothing more happens to it by itself."""
    path = f"/datasets/{dataset_id}/imports/{import_id}"
    deadline = time.monotonic() + IMPORT_SECONDS
    while True:
        job = call(client, "GET", path, params={"wait": 10})
        if job["status"] not in {"uninitialised", "queued", "processing"}:
            return job
        if time.monotonic() > deadline:
            raise DemoFailed(f"the import is still {job['status']} after {IMPORT_SECONDS} seconds")


def call(client: httpx.Client, method: str, path: str, **request: Any) -> dict[str, Any]:
    body: dict[str, Any] = checked(client.request(method, API + path, **request)).json()
    return body


def checked(answer: httpx.Response) -> httpx.Response:
    if not answer.is_success:
        request = answer.request
        raise DemoFailed(f"{request.method} {request.url.path} answered {answer.status_code}: {answer.text}")
    return answer


def read_schema(name: str) -> dict[str, Any]:
    schema: dict[str, Any] = json.loads((SAMPLES / f"{name}.schema.json").read_text(encoding="utf-8"))
    return schema


def heading(text: str) -> None:
    print(f"\n== {text}\n")


def show_report(job: dict[str, Any], *, expected: str) -> None:
    """The job as the API gives it, indented, with each entry of a list on a line of its own."""
    lines = [f"  {json.dumps(key)}: {indented(value)}" for key, value in job.items()]
    print("{\n" + ",\n".join(lines) + "\n}")
    if job["status"] != expected:
        raise DemoFailed(f"the import should have ended as {expected}, not as {job['status']}")


def indented(value: Any) -> str:
    if isinstance(value, list) and value:
        return "[\n" + ",\n".join(f"    {json.dumps(entry, ensure_ascii=False)}" for entry in value) + "\n  ]"
    return json.dumps(value, ensure_ascii=False)


def show_datapoints(client: httpx.Client, dataset_id: str) -> None:
    page = call(client, "GET", f"/datasets/{dataset_id}/datapoints", params={"limit": 2})
    print("\nThe first accepted records:")
    for datapoint in page["results"]:
        print(f"  {datapoint['record_index']}: {json.dumps(datapoint['data'], ensure_ascii=False)}")


@contextmanager
def running_service(data_dir: Path, *, log: Path) -> Iterator[httpx.Client]:
    """The service as a process of its own, with a client that has its token; it has ended when the block ends."""
    token = secrets.token_urlsafe(32)
    command = [str(Path(sys.executable).parent / "assay"), "serve", "--host", "127.0.0.1", "--port", "0"]
    # Settings of the person's own shell must not lead the demo to their database.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("ASSAY_")}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--data-dir", str(data_dir)],
            env={**environ, "ASSAY_BOOTSTRAP_TOKEN": token},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=data_dir.parent,
            start_new_session=True,  # its own process group: Ctrl-C reaches it through us, and nothing of it gets lost
        )
    try:
        address = wait_for_address(process, log=log)
        with httpx.Client(
            base_url=address, headers={"Authorization": f"Token {token}"}, timeout=60, trust_env=False
        ) as client:
            wait_for(lambda: client.get("/readyz").is_success or None, process=process, what="/readyz said so")
            yield client
    finally:
        stop(process)


def wait_for_address(process: subprocess.Popen[bytes], *, log: Path) -> str:
    """The address that the service prints once it accepts connections."""
    pattern = re.compile(r"^Assay is ready at (http://\S+)$", re.MULTILINE)
    found = wait_for(lambda: pattern.search(log.read_text(errors="replace")), process=process, what="it was ready")
    return found[1]


def wait_for(find: Callable[[], Found | None], *, process: subprocess.Popen[bytes], what: str) -> Found:
    deadline = time.monotonic() + START_SECONDS
    while (found := find()) is None:
        if process.poll() is not None:
            raise DemoFailed(f"the service ended with exit code {process.returncode} before {what}")
        if time.monotonic() > deadline:
            raise DemoFailed(f"the service took more than {START_SECONDS} seconds until {what}")
        time.sleep(0.05)
    return found


def stop(process: subprocess.Popen[bytes]) -> None:
    """End the service as an operator would, and make sure that none of its processes stays."""
    has_ended_by_itself = process.poll() is not None
    process.terminate()
    deadline = time.monotonic() + STOP_SECONDS
    while process.poll() is None or group_is_alive(process.pid):
        if time.monotonic() > deadline:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise DemoFailed(f"the service did not end within {STOP_SECONDS} seconds of SIGTERM and was killed")
        time.sleep(0.05)
    if process.returncode != 0 and not has_ended_by_itself:
        raise DemoFailed(f"the service ended with exit code {process.returncode} after SIGTERM")


def group_is_alive(group: int) -> bool:
    """Whether a process of that process group still runs. Ended ones that nobody has waited for don't count."""
    if not Path("/proc/self/stat").exists():
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return False
        return True
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            # After the command's name in parentheses: state, parent, process group.
            state, _, owner = path.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue  # it ended just now
        if int(owner) == group and state not in {"Z", "X"}:
            return True
    return False


def tail(log: Path) -> str:
    if not log.exists():
        return "(no log)"
    return "\n".join(log.read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:])


if __name__ == "__main__":
    sys.exit(main())
