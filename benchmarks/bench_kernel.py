"""Measures the kernel beside its yardsticks: interleaved rounds in one run, medians, ratios, memory, a chart.

Each contender starts warm: it has done the same with a small file, in the same processes. A first round watches memory
and is not timed: to look at the pages of processes slows them, several more than one.

`make bench`, or `python benchmarks/bench_kernel.py --records 200000 --rounds 3` for a quick look. Machines are noisy
and shared, so ratios within one run are what counts; processor time is given too, as it suffers least from neighbours.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from kernel_chart import draw
from kernel_contenders import CONTENDERS, SMALL_SHARE
from kernel_data import made_file
from process_tree import tree_bytes

HERE = Path(__file__).parent
YARDSTICK = "DuckDB COPY"
# Too slow to be asked in every round: its watched one counts.
ONCE = {"Frictionless"}
SAMPLE_SECONDS = 0.05
SMALL_RECORDS = 100_000

Measured = dict[str, float]
Key = tuple[str, int, str]


def main() -> None:
    options = parsed_options()
    options.data.mkdir(parents=True, exist_ok=True)
    results: dict[Key, list[Measured]] = defaultdict(list)
    cases = [(format, bad) for format in options.formats for bad in options.bad]
    files = {
        case: made_file(options.data, format=case[0], records=options.records, bad_percent=case[1]) for case in cases
    }
    for number in range(options.rounds + 1):
        for case in cases:
            for name in options.only:
                if number and name in ONCE:
                    continue
                measured = run_one(name, files[case], small_file(options.data, case[0]), watched=number == 0)
                if measured is not None:
                    results[*case, name].append(measured)
                    print(f"round {number} {case[0]} {case[1]}% {name}: {measured['seconds']:.2f} s", flush=True)
    report(options.out, results, options)


def parsed_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--bad", type=int, nargs="*", default=[0, 1, 20])
    parser.add_argument("--formats", nargs="*", default=["jsonl", "csv"])
    parser.add_argument("--only", nargs="*", default=list(CONTENDERS), choices=list(CONTENDERS))
    parser.add_argument("--data", type=Path, default=Path(tempfile.gettempdir()) / "assay-bench")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    return parser.parse_args()


def small_file(folder: Path, format: str) -> Path:
    """What each contender gets to see before its time runs."""
    return made_file(folder, format=format, records=SMALL_RECORDS, bad_percent=0)


def run_one(name: str, path: Path, small_path: Path, *, watched: bool) -> Measured | None:
    """One contender in a process of its own, its memory watched or not; None if it can't do the job on this file."""
    with tempfile.TemporaryDirectory(dir=path.parent) as folder, tempfile.TemporaryFile("w+") as errors:
        command = [sys.executable, HERE / "kernel_contenders.py", name, path, small_path, folder]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
        peak = 0
        while watched and process.poll() is None:
            peak = max(peak, tree_bytes(process.pid))
            time.sleep(SAMPLE_SECONDS)
        if process.wait():
            errors.seek(0)
            print(f"{name} on {path.name}: {(errors.read().strip().splitlines() or ['failed'])[-1][:150]}")
            return None
        assert process.stdout is not None
        measured: Measured = json.loads(process.stdout.read())
        share = SMALL_SHARE if name == "Frictionless" else 1
        return {
            **measured,
            "seconds": measured["seconds"] * share,
            "cpu_seconds": measured["cpu_seconds"] * share,
            "peak_bytes": peak,
        }


def report(folder: Path, results: dict[Key, list[Measured]], options: argparse.Namespace) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rows = [summary(key, runs, results) for key, runs in results.items()]
    table = [
        f"{options.records:,} records, {options.rounds} rounds, {os.cpu_count()} cores. Seconds are medians, from a "
        f"warm start; ratios are medians of each round's ratio to {YARDSTICK}. "
        "Assay gives each record an id and finds repeats; of the others only msgspec with ids does. "
        "Frictionless writes nothing, and is given a fiftieth of the file, its time taken fifty times. A contender "
        "that is missing can't read the file.",
        "",
        "| file | contender | seconds | range | ratio | CPU s | CPU ratio | peak MB | accepted | rejected |",
        "| --- | --- | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        *map(as_line, rows),
    ]
    (folder / "kernel.md").write_text("\n".join(table) + "\n")
    (folder / "kernel.json").write_text(json.dumps({"rows": rows, "records": options.records}, indent=1))
    draw(rows, folder)
    print("\n".join(table))


def as_line(row: dict[str, Any]) -> str:
    cells = [
        f"{row['format']} {row['bad']}% bad",
        row["name"],
        f"{row['seconds']:.2f}",
        f"{row['low']:.2f}–{row['high']:.2f}",
        f"{row['ratio']:.2f}",
        f"{row['cpu_seconds']:.2f}",
        f"{row['cpu_ratio']:.2f}",
        f"{row['peak_mb']:.0f}",
        *(f"{row[count]:,}" if row[count] >= 0 else "–" for count in ("accepted", "rejected")),
    ]
    return f"| {' | '.join(cells)} |"


def summary(key: Key, runs: list[Measured], results: dict[Key, list[Measured]]) -> dict[str, Any]:
    format, bad, name = key
    timed = runs[1:] or runs
    yardstick = results.get((format, bad, YARDSTICK), runs)[1:] or timed
    seconds = [run["seconds"] for run in timed]

    def ratio(measure: str) -> float:
        return statistics.median(
            run[measure] / max(other[measure], 0.01) for run, other in zip(timed, yardstick, strict=False)
        )

    return {
        "format": format,
        "bad": bad,
        "name": name,
        "seconds": statistics.median(seconds),
        "low": min(seconds),
        "high": max(seconds),
        "ratio": ratio("seconds"),
        "cpu_seconds": statistics.median(run["cpu_seconds"] for run in timed),
        "cpu_ratio": ratio("cpu_seconds"),
        "peak_mb": runs[0]["peak_bytes"] / 1e6,
        "accepted": runs[-1]["accepted"],
        "rejected": runs[-1]["rejected"],
    }


if __name__ == "__main__":
    if not Path("/proc/self/smaps_rollup").exists():
        sys.exit("The bench reads memory and processor time from /proc, so it runs on Linux.")
    main()
