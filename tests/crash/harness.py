"""Kills a running service again and again while clients import files, and compares what came of it, record by record.

A round imports a few datasets and is hit by at most two kills: the third lost attempt ends a job by design. A kill is
either at a random moment, or at a named step that a process was armed with when it was started.
"""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from random import Random

from sqlalchemy import func, select

from assay import crash_points
from assay.db import tables
from assay.db.engine import open_database
from assay.jobs import State
from crash.comparing import Findings, compare
from crash.known_files import SCHEMA, KnownFile, make_files
from crash.patient_client import PatientClient
from crash.set_ups import KINDS, TOKEN, SetUp, ended_badly, was_killed
from services.processes import Process

ARMED_SECONDS = 5  # how long a step may take to be reached, after which the round goes on without that kill
LATE_SECONDS = 0.5  # how long after the end of all imports a step of one of them may be reached
STEP_COUNTS = {"chunk_done": 12, "upload_stored": 4, "file_swept": 4}


@dataclass(frozen=True)
class Load:
    datasets: int
    files: int
    records: int


@dataclass
class Report:
    set_up: str
    seed: int
    kills: Counter[str] = field(default_factory=Counter)
    rounds: int = 0
    interrupted: int = 0
    findings: Findings = field(default_factory=Findings)
    seconds: float = 0.0

    def __str__(self) -> str:
        kinds = "\n".join(f"  {kind:<28}{count:>6}" for kind, count in sorted(self.kills.items()))
        found = self.findings
        wrong = "".join(f"\n  WRONG: {text}" for text in found.wrong[:20])
        return (
            f"Crash test on {self.set_up}, seed {self.seed}: {self.kills.total()} kills in {self.rounds} rounds, "
            f"{self.seconds:.0f} s\n{kinds}\n  attempts interrupted {self.interrupted}\n"
            f"  jobs {found.jobs:,} · records {found.records:,} · lost {found.lost} · doubled {found.doubled}"
            f" · otherwise wrong {len(found.wrong)}{wrong}"
        )


def run(
    set_up: SetUp, *, kills: int, seed: int, load: Load, say: Callable[[str], object], max_rounds: int | None = None
) -> Report:
    """Until so many kills have hit, every kind and every step in turn."""
    random = Random(seed)
    report = Report(set_up.name, seed)
    began = time.monotonic()
    # A process is armed when a round starts it anew, so that steps come first; every one within the first ten rounds.
    firsts, seconds = _turns([*set_up.steps, *KINDS], random), _turns(KINDS, random)
    while report.kills.total() < kills and report.rounds < (max_rounds or 2 * kills):
        report.rounds += 1
        found = _run_round(set_up, random, load, report.kills, [next(firsts), next(seconds)])
        report.findings.add(found)
        report.findings.wrong += ended_badly(set_up.processes)
        report.interrupted = count_interrupted(set_up.database_url)
        report.seconds = time.monotonic() - began
        say(f"round {report.rounds}: {report.kills.total()} kills, {found.lost} lost, {found.doubled} doubled\n")
    return report


def _turns(kinds: Sequence[str], random: Random) -> Iterator[str]:
    """Kinds of kills without end: each as often as any other, in a random order."""
    while True:
        yield from random.sample(kinds, len(kinds))


def _run_round(set_up: SetUp, random: Random, load: Load, kills: Counter[str], plan: list[str]) -> Findings:
    armed = _arm(set_up, random, plan[0])
    set_up.start_all()
    if armed is not None:
        armed.wait_until_ready()
    files = [make_files(random, files=load.files, records=load.records) for _ in range(load.datasets)]
    with ThreadPoolExecutor(load.datasets) as threads:
        imports = [threads.submit(_import_all, set_up.addresses, dataset) for dataset in files]
        for kind in plan:
            if armed is not None:
                _await_death(armed, kind, imports)
                if was_killed(armed):
                    kills[f"at {kind}"] += 1
                armed = None
            else:
                time.sleep(random.uniform(0.05, 1.0))
                if set_up.kill(kind, random):
                    kills[f"{kind}, any moment"] += 1
            set_up.start_all()
        wait(imports)
        findings = Findings()
        for each in imports:
            findings.add(each.result())
    return findings


def _arm(set_up: SetUp, random: Random, kind: str) -> Process | None:
    """Start one process anew that dies at that step, without waiting for it; None for another kind of kill."""
    if kind not in crash_points.STEPS:
        return None
    process = random.choice(set_up.servers if kind == "upload_stored" else set_up.workers)
    process.end()
    count = random.randint(1, STEP_COUNTS.get(kind, 2))
    process.start(**{crash_points.VARIABLE: f"{kind}:{count}"})
    return process


def _await_death(process: Process, step: str, imports: Sequence["Future[Findings]"]) -> None:
    """Only a file may be swept when the imports have ended: no other step is reached then, and none is waited for."""
    deadline = time.monotonic() + ARMED_SECONDS
    while not process.wait(0.05) and time.monotonic() < deadline:
        if step != "file_swept" and all(each.done() for each in imports):
            deadline = min(deadline, time.monotonic() + LATE_SECONDS)
    if process.is_running:
        process.end()  # started again unarmed: it must not die in a later round


def _import_all(addresses: list[str], files: list[KnownFile]) -> Findings:
    client = PatientClient(addresses, TOKEN)
    try:
        dataset_id = client.make_dataset(SCHEMA)
        imports = [client.upload(dataset_id, file.name, file.data) for file in files]
        jobs = [client.wait_for_end(dataset_id, import_id) for import_id in imports]
        return compare(client, dataset_id, files, jobs)
    finally:
        client.close()


def count_interrupted(database_url: str) -> int:
    """How many attempts were cut short and begun again: so many kills hit a job in the middle."""
    database = open_database(database_url)
    with database.read() as tx:
        events = tables.job_events
        cut = (events.c.from_state == State.PROCESSING.value) & (events.c.to_state == State.QUEUED.value)
        count: int = tx.connection.execute(select(func.count()).select_from(events).where(cut)).scalar_one()
    database.close()
    return count


def seed_of_environment() -> int:
    """`CRASH_SEED` to run a failure again; else another one each time, which the report names."""
    return int(os.environ.get("CRASH_SEED") or int(time.time()))


def kills_of_environment() -> int:
    """20, or what `CRASH_KILLS` says: `make soak` sets it to 200."""
    return int(os.environ.get("CRASH_KILLS") or 20)
