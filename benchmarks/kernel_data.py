"""The files that the kernel is measured on: the same records as JSONL and as CSV, a share of them spoilt."""

import csv
import json
import random
from collections.abc import Iterator
from pathlib import Path

SCHEMA = {
    "strict": True,
    "fields": {
        "prompt": {"type": "text"},
        "response_a": {"type": "text"},
        "response_b": {"type": "text"},
        "notes": {"type": "text"},
        "image": {"type": "image_url"},
        "age": {"type": "integer", "exclusiveMinimum": 0},
        "score": {"type": "number"},
        "group": {"type": "task_group_id"},
    },
}
FIELDS = list(SCHEMA["fields"])


def made_file(folder: Path, *, format: str, records: int, bad_percent: int) -> Path:
    """The file, made if it isn't there. Its records depend on nothing but their number and the share."""
    path = folder / f"{records}-{bad_percent}.{format}"
    if not path.exists():
        beside = path.with_name(path.name + ".part")
        with beside.open("w", encoding="utf-8", newline="") as file:
            file.writelines(_lines(format, records, bad_percent))
        beside.replace(path)
    return path


def _lines(format: str, records: int, bad_percent: int) -> Iterator[str]:
    rows = _Rows()
    if format == "csv":
        yield rows.as_csv(FIELDS)
    for values, spoilt in _records(records, bad_percent):
        if format == "csv":
            yield rows.as_csv(list(values.values())[: 7 if spoilt == "cut" else 8])
        else:
            line = json.dumps(values, ensure_ascii=False)
            yield (line[:-20] if spoilt == "cut" else line) + "\n"


class _Rows:
    """Holds a CSV writer that writes into a string."""

    def __init__(self) -> None:
        self._written: list[str] = []
        self._writer = csv.writer(self, lineterminator="\n")

    def write(self, text: str) -> None:
        self._written.append(text)

    def as_csv(self, cells: list[object]) -> str:
        self._written.clear()
        self._writer.writerow(cells)
        return "".join(self._written)


def _records(records: int, bad_percent: int) -> Iterator[tuple[dict[str, object], str | None]]:
    chance = random.Random(1)
    syllables = [consonant + vowel for consonant in "bcdfghjklmnprstvwz" for vowel in "aeiou"]
    vocabulary = ["".join(chance.choices(syllables, k=chance.randint(1, 4))) for _ in range(4000)]
    words = chance.choices(vocabulary, [1 / (rank + 10) for rank in range(4000)], k=500_000)
    for number in range(records):
        spoilt = chance.choice(["age", "image", "score", "cut"]) if chance.random() * 100 < bad_percent else None
        values: dict[str, object] = {
            "prompt": _text(chance, words),
            "response_a": _text(chance, words),
            "response_b": _text(chance, words),
            "notes": _text(chance, words).capitalize() + ", ok.",
            "image": f"https://images.example.com/{number}/{chance.getrandbits(64):016x}.png",
            "age": chance.randint(1, 99),
            "score": round(chance.random() * 100, chance.randint(1, 6)),
            "group": f"g-{chance.randrange(100_000)}",
        }
        values.update({"age": {"age": -1}, "image": {"image": "not a url"}, "score": {"score": "high"}}.get(spoilt, {}))
        yield values, spoilt


def _text(chance: random.Random, words: list[str]) -> str:
    """70 to 170 characters, short ones more often; one in twenty has a line break, quotes, and letters beyond ASCII."""
    start = chance.randrange(len(words) - 60)
    text = " ".join(words[start : start + 60])[: 70 + int(100 * chance.random() ** 3)].strip()
    return text[:-2] + "\né“x”" if chance.random() < 0.05 else text
