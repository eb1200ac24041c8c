"""Files of known content, and what a dataset must hold after them: worked out by hand, not by the code under test."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import Any

SCHEMA: dict[str, Any] = {
    "strict": True,
    "fields": {"n": {"type": "integer", "exclusiveMinimum": 0}, "text": {"type": "text"}},
}
HEADER = b"n,text\n"
REPEATED_SHARE = 0.15
REJECTED_SHARE = 0.1


@dataclass(frozen=True)
class KnownRecord:
    """`fault` is the field and the reason for which it must be rejected; `data` what it must be read as otherwise."""

    line: bytes
    is_csv: bool
    data: dict[str, Any] | None = None
    fault: tuple[str, str] | None = None


@dataclass(frozen=True)
class KnownFile:
    name: str
    records: list[KnownRecord]

    @property
    def data(self) -> bytes:
        lines = b"".join(record.line + b"\n" for record in self.records)
        return HEADER + lines if self.name.endswith(".csv") else lines


@dataclass(frozen=True)
class ExpectedFile:
    """What an import of a file must come to, given those before it: `written` by record index."""

    written: dict[int, KnownRecord]
    errors: list[tuple[int, str, str]]
    duplicate_count: int

    @property
    def status(self) -> str:
        return "partial" if self.errors else "complete"


def make_files(random: Random, *, files: int, records: int) -> list[KnownFile]:
    """Files of one dataset: some records are faulty, some stand in an earlier place of the dataset already."""
    accepted: dict[bool, list[KnownRecord]] = {True: [], False: []}
    made = []
    for number in range(files):
        is_csv = random.random() < 0.5
        rows = []
        for place in range(records):
            earlier = accepted[is_csv]
            if earlier and random.random() < REPEATED_SHARE:
                rows.append(random.choice(earlier))
                continue
            record = _make_record(random, is_csv, f"record {number}-{place} {random.getrandbits(40):x}")
            if record.fault is None:
                earlier.append(record)
            rows.append(record)
        made.append(KnownFile(f"answers-{number}.{'csv' if is_csv else 'jsonl'}", rows))
    return made


def _make_record(random: Random, is_csv: bool, text: str) -> KnownRecord:
    n = random.randrange(1, 10**6)
    if random.random() >= REJECTED_SHARE:
        return KnownRecord(_line(is_csv, n, text), is_csv, data={"n": n, "text": text})
    if random.random() < 0.5:
        return KnownRecord(_line(is_csv, -n, text), is_csv, fault=("n", "Value must be a positive integer"))
    return KnownRecord(_line(is_csv, n + 0.5, text), is_csv, fault=("n", "Value must be an integer"))


def _line(is_csv: bool, n: float, text: str) -> bytes:
    return f"{n},{text}".encode() if is_csv else json.dumps({"n": n, "text": text}).encode()


def expect(files: Iterable[KnownFile]) -> list[ExpectedFile]:
    """For files imported in that order."""
    seen: set[tuple[bool, bytes]] = set()
    expected = []
    for file in files:
        written: dict[int, KnownRecord] = {}
        errors = []
        duplicates = 0
        for index, record in enumerate(file.records):
            identity = (record.is_csv, record.line)
            if record.fault is not None:
                errors.append((index, *record.fault))
            elif identity in seen:
                duplicates += 1
            else:
                seen.add(identity)
                written[index] = record
        expected.append(ExpectedFile(written, errors, duplicates))
    return expected
