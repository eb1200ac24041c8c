"""Pictures of every page of the console, in light and dark, at 1280 and 390 pixels wide, for people to look at.

    python scripts/screenshots.py FOLDER

Starts a service of its own on a free port with a fresh data directory, fills it with samples/ and a larger file, and
ends it again. Needs the development dependencies, and a Chromium on the PATH.
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).parent.parent
SAMPLES = ROOT / "samples"
API = "/api/v1/data-collection"
TOKEN = "assay_a-token-for-the-pictures-0123456789"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WIDTHS = {1280: 900, 390: 844}
SCHEMES = ("light", "dark")
FAULTY_SCHEMA: dict[str, Any] = {
    "strict": True,
    "fields": {
        "sensor": {"type": "text", "pattern": "^S[0-9]{3}$"},
        "temperature": {"type": "number", "minimum": -60, "maximum": 60},
        "measured_at": {"type": "datetime"},
        "battery": {"type": "integer", "exclusiveMinimum": 0},
        "note": {"type": "text", "required": False, "maxLength": 40},
    },
}


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory(prefix="assay-pictures-") as place, running_service(Path(place)) as address:
        pages = fill(address)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
            for scheme in SCHEMES:
                for width, height in WIDTHS.items():
                    take_all(browser, address, pages, folder=folder, scheme=scheme, size=(width, height))
            browser.close()


@contextmanager
def running_service(place: Path) -> Iterator[str]:
    """The service's address, for as long as the block runs."""
    log = place / "service.log"
    words = ["serve", "--port", "0", "--workers", "1", "--data-dir", str(place / "data"), "--chunk-bytes", "200000"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "assay", *words],
            stdout=output,
            stderr=output,
            env={"PATH": "/usr/bin:/bin", "ASSAY_BOOTSTRAP_TOKEN": TOKEN},
        )
    try:
        deadline = time.monotonic() + 60
        while not (found := re.search(r"ready at (http://\S+)", log.read_text())):
            if process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"The service did not start:\n{log.read_text()}")
            time.sleep(0.1)
        yield found[1]
    finally:
        process.terminate()
        process.wait(30)


def fill(address: str) -> dict[str, str]:
    """Datasets in every state; the paths of the pages to take, by the name of the picture."""
    pages = {"sign-in": "/sign-in", "new-dataset": "/datasets/new", "not-found": "/nowhere"}
    with httpx.Client(base_url=address, headers={"Authorization": f"Token {TOKEN}"}, trust_env=False) as client:
        pages["dataset-empty"] = f"/datasets/{make(client, 'Interviews, still to come')}"
        waiting = make(client, "Catalogue")
        job = upload(client, waiting, "catalogue.jsonl", (SAMPLES / "catalogue.jsonl").read_bytes())
        pages["import-pending-schema"] = f"/datasets/{waiting}/imports/{job}"
        pages["schema-suggested"] = f"/datasets/{waiting}/schema"
        responses = make(client, "Model responses", schema=json.loads((SAMPLES / "responses.schema.json").read_text()))
        job = upload(client, responses, "responses.jsonl", (SAMPLES / "responses.jsonl").read_bytes())
        pages["import-jsonl"] = f"/datasets/{responses}/imports/{job}"
        pages["records-jsonl"] = f"/datasets/{responses}/records"
        upload(client, responses, "Antworten – zweite Lieferung.csv", "a,b\n1,2\n".encode("utf-16"))
        sensors = make(client, "Sensor readings", schema=FAULTY_SCHEMA)
        job = upload(client, sensors, "readings-2026-11.csv", readings(40_000))
        pages |= {"import-many-faults": f"/datasets/{sensors}/imports/{job}", "records": f"/datasets/{sensors}/records"}
        survey = make(client, "Survey", schema=json.loads((SAMPLES / "survey.schema.json").read_text()))
        job = upload(client, survey, "survey.csv", (SAMPLES / "survey.csv").read_bytes())
        pages |= {
            "import": f"/datasets/{survey}/imports/{job}",
            "dataset": f"/datasets/{survey}",
            "schema": f"/datasets/{survey}/schema",
            "imports": f"/datasets/{survey}/imports",
            "delete": f"/datasets/{survey}/delete",
        }
        running = make(client, "Sensor readings, all of 2026", schema=FAULTY_SCHEMA)
        job = upload(client, running, "readings-2026.csv", readings(900_000), wait=False)
        pages["import-running"] = f"/datasets/{running}/imports/{job}"
        next_job = upload(client, running, "readings-2025.csv", readings(900_000), wait=False)
        pages["import-queued"] = f"/datasets/{running}/imports/{next_job}"
        pages["datasets"] = "/"
    return pages


def make(client: httpx.Client, name: str, *, schema: dict[str, Any] | None = None) -> str:
    body = {"name": name, "workspace_id": "default"} | ({} if schema is None else {"schema": schema})
    return str(client.post(f"{API}/datasets", json=body).raise_for_status().json()["id"])


def upload(client: httpx.Client, dataset_id: str, name: str, data: bytes, *, wait: bool = True) -> str:
    offer = client.get(f"{API}/datasets/{dataset_id}/upload-url/{name}").raise_for_status().json()
    headers = {"Content-Type": offer["content_type"]}
    httpx.put(offer["upload_url"], content=data, headers=headers, trust_env=False, timeout=60).raise_for_status()
    if wait:
        path = f"{API}/datasets/{dataset_id}/imports/{offer['import_id']}"
        client.get(path, params={"wait": 60}, timeout=90).raise_for_status()
    return str(offer["import_id"])


def readings(count: int) -> bytes:
    """A CSV with faults of several kinds, rare ones and common ones."""
    lines = ["sensor,temperature,measured_at,battery,note"]
    for number in range(count):
        sensor = f"S{number % 1000:03}" if number % 41 else f"sensor {number}"
        temperature = f"{(number * 37 % 800) / 10 - 20:.1f}" if number % 97 else "warm"
        hour = number % 24
        when = (
            f"2026-11-{number % 28 + 1:02}T{hour:02}:15:00Z" if number % 173 else f"{number % 28 + 1}.11.2026 {hour}:15"
        )
        battery = str(number % 100) if number % 59 else ""
        note = "" if number % 500 else "moved from the roof to the yard, and back again after the storm"
        lines.append(f"{sensor},{temperature},{when},{battery},{note}")
    return ("\n".join(lines) + "\n").encode()


def take_all(
    browser: Browser, address: str, pages: dict[str, str], *, folder: Path, scheme: str, size: tuple[int, int]
) -> None:
    width, height = size
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(address + "/sign-in")
    page.screenshot(path=folder / f"sign-in-{scheme}-{width}.png")
    page.get_by_label("Token").fill(TOKEN)
    page.get_by_role("button", name="Sign in").click()
    for name, path in pages.items():
        if name != "sign-in":
            take(page, address + path, folder / f"{name}-{scheme}-{width}.png")
    context.close()


def take(page: Page, url: str, picture: Path) -> None:
    page.goto(url)
    page.wait_for_timeout(300 if "running" not in picture.name else 1600)
    page.screenshot(path=picture, full_page=True)
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    if wide > 0:
        print(f"{picture.name}: the page is {wide} pixels too wide", file=sys.stderr)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
