"""How much memory the whole service takes while it imports a large file: `python benchmarks/memory_of_import.py [MB]`.

Writes a CSV of 2,000 MB by default, starts `assay serve` with its default settings in a temporary folder, uploads the
file, and samples the memory of the server and all its children until the import has ended. Then uploads it again, so
that all its records are duplicates. Prints the peaks of the sums: RSS counts a page that two processes share twice, PSS
counts it once.
"""

import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import httpx

from services.processes import HOST, assay, descendants, ended_at_the_end, free_port

MB = 1_000_000
RECORDS_A_BLOCK = 100_000
SAMPLE_SECONDS = 0.2
API = "/api/v1/data-collection"
TOKEN = "benchmark-token-0123456789abcdef"
SCHEMA = {
    "strict": True,
    "fields": {
        "participant": {"type": "text"},
        "age": {"type": "integer", "minimum": 18},
        "score": {"type": "number"},
        "answered_at": {"type": "datetime"},
        "comment": {"type": "text", "maxLength": 500},
    },
}


def blocks_of_csv(size: int) -> Iterator[bytes]:
    """About 170 bytes a record; one in a hundred is too young."""
    yield b"participant,age,score,answered_at,comment\n"
    written = number = 0
    while written < size:
        block = "".join(
            f"participant-{row:010},{17 if row % 100 == 0 else 18 + row % 70},{row / 7:.4f},"
            f"2024-{row % 12 + 1:02}-{row % 28 + 1:02}T12:{row % 60:02}:00Z,"
            f"All was well with the answer number {row}; nothing else has been said about it by anybody here\n"
            for row in range(number, number + RECORDS_A_BLOCK)
        ).encode()
        yield block
        written += len(block)
        number += RECORDS_A_BLOCK


def memory_of(process_id: int) -> tuple[int, int]:
    """RSS and PSS in bytes; of a process that has just ended, nothing."""
    try:
        lines = Path(f"/proc/{process_id}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0, 0
    sizes = {line.split()[0]: int(line.split()[1]) * 1024 for line in lines[1:]}
    return sizes["Rss:"], sizes["Pss:"]


def sample(server_id: int, peaks: dict[str, tuple[int, ...]]) -> None:
    """Keep the largest sums, each with the sizes of the processes that made it up."""
    found = [memory_of(each) for each in (server_id, *descendants(server_id))]
    for at, name in enumerate(("RSS", "PSS")):
        sizes = tuple(memory[at] for memory in found)
        if sum(sizes) > sum(peaks.get(name, ())):
            peaks[name] = sizes


def import_file(
    client: httpx.Client, server_id: int, path: Path, dataset_id: str
) -> tuple[dict[str, Any], dict[str, tuple[int, ...]]]:
    offer = client.get(f"/datasets/{dataset_id}/upload-url/{path.name}").json()
    with path.open("rb") as file:
        answer = httpx.put(
            offer["upload_url"], content=file, headers={"Content-Type": offer["content_type"]}, timeout=600
        )
    answer.raise_for_status()
    peaks: dict[str, tuple[int, ...]] = {}
    asked_at = 0.0
    while True:
        sample(server_id, peaks)
        if time.monotonic() - asked_at > 1:
            asked_at = time.monotonic()
            job: dict[str, Any] = client.get(f"/datasets/{dataset_id}/imports/{offer['import_id']}").json()
            if job["status"] in ("complete", "partial", "failed"):
                return job, peaks
        time.sleep(SAMPLE_SECONDS)


def main() -> None:
    size = int(sys.argv[1] if len(sys.argv) > 1 else 2000) * MB
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "large.csv"
        with path.open("wb") as file:
            file.writelines(blocks_of_csv(size))
        port = free_port()
        settings = {"ASSAY_DATA_DIR": str(folder / "data"), "ASSAY_BOOTSTRAP_TOKEN": TOKEN}
        server = assay("server", "serve", "--port", str(port), folder=folder, environment=settings)
        with ended_at_the_end(server):
            server.start()
            server.wait_until_ready()
            headers = {"Authorization": f"Token {TOKEN}"}
            with httpx.Client(base_url=f"http://{HOST}:{port}{API}", headers=headers, timeout=60) as client:
                body = {"name": "Large", "workspace_id": "default", "schema": SCHEMA}
                dataset_id = client.post("/datasets", json=body).json()["id"]
                for _ in range(2):
                    began = time.monotonic()
                    job, peaks = import_file(client, server.id, path, dataset_id)
                    report(job, peaks, size_bytes=path.stat().st_size, seconds=time.monotonic() - began)


def report(job: dict[str, Any], peaks: dict[str, tuple[int, ...]], *, size_bytes: int, seconds: float) -> None:
    print(f"{job['filename']}: {size_bytes / MB:,.0f} MB, {job['status']} in {seconds:.1f} s, upload included")
    counts = ", ".join(f"{name} {job.get(f'{name}_count', 0):,}" for name in ("accepted", "duplicate", "rejected"))
    print(f"  {counts}")
    for name, sizes in peaks.items():
        each = " + ".join(f"{one / MB:,.0f}" for one in sizes)
        print(f"  peak {name} of all processes: {sum(sizes) / MB:,.0f} MB ({each})", flush=True)


if __name__ == "__main__":
    main()
