"""Whether a large file goes through as fast as a small one, in as little memory: `python benchmarks/throughput.py`.

Checks files of 100 MB, 1 GB and 4 GB in turns, with the processes and the work of the kernel's bench, and prints each
one's best throughput and its peak memory, which comes from a turn of its own. Takes some 12 GB below the temporary
folder while it runs.
"""

import sys
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from bench_kernel import run_one, small_file
from kernel_data import made_file

MB = 1_000_000
SIZES = (100 * MB, 1000 * MB, 4000 * MB)
ROUNDS = 3
RECORDS = 180_000  # of about 560 bytes: 100 MB


def main(formats: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for format in formats:
            first = made_file(Path(folder), format=format, records=RECORDS, bad_percent=1)
            files = {size: repeated(first, size) for size in SIZES}
            best = dict.fromkeys(SIZES, 0.0)
            peak = dict.fromkeys(SIZES, 0.0)
            for number in range(ROUNDS + 1):
                for size, path in files.items():
                    measured = run_one("Assay", path, small_file(Path(folder), format), watched=number == 0)
                    assert measured is not None
                    best[size] = max(best[size], path.stat().st_size / MB / measured["seconds"]) if number else 0.0
                    peak[size] = max(peak[size], measured["peak_bytes"] / MB)
            for size in SIZES:
                share = best[size] / max(best.values())
                print(
                    f"{format} {size // MB:,} MB: {best[size]:.0f} MB/s, {share:.0%}; peak memory {peak[size]:.0f} MB"
                )
            for path in files.values():
                path.unlink()


def repeated(first: Path, size: int) -> Path:
    """A file of so many bytes, to the next copy of the first; each copy's records are its own."""
    path = first.with_name(f"{size}{first.suffix}")
    with path.open("wb") as file:
        for lines in copies(first):
            file.write(lines)
            if file.tell() >= size:
                return path
    raise AssertionError("copies go on for ever")


def copies(first: Path) -> Iterator[bytes]:
    data = first.read_bytes()
    header = data.index(b"\n") + 1 if first.suffix == ".csv" else 0
    for number in count():
        lines = data[header:].replace(b"images.example.com", b"images%d.example.com" % number)
        yield data[:header] + lines if number == 0 else lines


if __name__ == "__main__":
    main(sys.argv[1:] or ["jsonl", "csv"])
