"""Write the files of samples/ that hold records; run it again and they come out the same, byte for byte.

All values are invented. The faults are put in on purpose, each at a fixed record: samples/README.md lists them.
"""

import argparse
import csv
import io
import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random

SAMPLES = Path(__file__).parent.parent / "samples"
SURVEY_HEADER = ["participant_id", "age", "country", "submitted_at", "consent", "satisfaction", "comment"]
COUNTRIES = ["BR", "DE", "ES", "FR", "GB", "IN", "JP", "KE", "PL", "US"]
COMMENTS = [
    "",
    "Clear questions.",
    "Easy, quick, and the progress bar helped.",
    'The word "occasionally" means different things to different people.',
    "Two remarks:\n- page 3 loaded slowly\n- I would have liked a way back",
    "Muy claro, gracias. ¿Habrá una segunda parte?",
    "Die Skala war verständlich, nur Frage 7 nicht.",
    "C'était un peu long, mais intéressant.",
    "質問はわかりやすかったです。",
    "Ankieta była krótka i przyjemna.",
    "प्रश्न आसान थे।",
    "As perguntas 4 e 5 são quase iguais, não são?",
    "Maswali yalikuwa rahisi kuelewa.",
    "Nothing to add 🙂",
    'I answered "no" to 12, then changed my mind; please count it as "yes", if you can.',
]

TOPICS = [
    "how a sundial works",
    "why bread rises",
    "what a prime number is",
    "how tides come about",
    "why leaves change colour",
    "what a library catalogue is for",
    "how a bicycle stays upright",
    "why the sky is blue",
    "how bees find flowers",
    "what makes a bridge stable",
]
AUDIENCES = ["a ten-year-old", "a colleague", "someone in a hurry", "a keen gardener", "a class of adults"]
OPENINGS = [
    "In short:",
    "Let us start with an example.",
    "There are two parts to it.",
    "A picture helps here.",
    "Many people ask this.",
]
ENDINGS = [
    "That is the whole idea.",
    "Try it yourself and watch what happens.",
    'One word to remember: "balance".',
    "Would you like the longer version?",
    "Voilà, c'est tout — あとは試すだけです。",
]

ITEMS = ["Field notebook", "Brass compass", "Enamel mug", "Wool blanket", "Folding lamp", "Canvas satchel"]
COLOURS = ["graphite", "moss green", "crème", "indigo", "rust"]


def survey_csv() -> str:
    """200 survey answers as a spreadsheet exports them: byte order mark, CRLF, line feeds inside quoted cells."""
    random = Random(2025)
    rows = [_survey_row(index, random) for index in range(200)]
    rows[23][1], rows[23][5] = "-3", "7"
    rows[40][1], rows[186][1] = "0", "-1"
    rows[58][1] = "thirty"
    rows[104][2] = "Germany"
    rows[131][4] = ""
    rows[150][3] = "14/03/2025 09:12"
    rows[180] = list(rows[179])
    lines = [_csv_line(row) for row in [SURVEY_HEADER, *rows]]
    # Broken by hand, as csv.writer would not: a comma outside quotes, and a line that stops half way.
    lines[1 + 71] = ",".join(rows[71][:6]) + ",Good, but too long\r\n"
    lines[1 + 167] = ",".join(rows[167][:3]) + "\r\n"
    return "\ufeff" + "".join(lines)


def _survey_row(index: int, random: Random) -> list[str]:
    submitted = datetime(2025, 3, 10, 8, tzinfo=UTC) + timedelta(minutes=37 * index, seconds=random.randrange(60))
    return [
        f"P{index + 1:04}",
        str(random.randrange(18, 80)),
        random.choice(COUNTRIES),
        submitted.isoformat().replace("+00:00", "Z"),
        "true" if random.random() < 0.9 else "false",
        str(random.randrange(1, 6)),
        random.choice(COMMENTS),
    ]


def _csv_line(cells: list[str]) -> str:
    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerow(cells)
    return buffer.getvalue()


def responses_jsonl() -> str:
    """150 pairs of model responses, three of them for each task group."""
    random = Random(2026)
    records = [_response_pair(index, random) for index in range(150)]
    records[34]["image_url"] = "ftp://images.example.org/scenes/0034.png"
    records[77]["task_group_id"] = ""
    del records[120]["response_b"]
    lines = [json.dumps(record, ensure_ascii=False) + "\n" for record in records]
    lines[12] = lines[12][: len(lines[12]) // 2] + "\n"
    lines[95] = lines[95].replace('"response_b":', '"response_a":')
    return "".join(lines)


def _response_pair(index: int, random: Random) -> dict[str, object]:
    topic, audience = TOPICS[index // 3 % len(TOPICS)], AUDIENCES[index // 30 % len(AUDIENCES)]
    record: dict[str, object] = {
        "prompt": f"Explain {topic} to {audience}.",
        "response_a": f"{random.choice(OPENINGS)} {random.choice(ENDINGS)}",
        "response_b": f"{random.choice(OPENINGS)}\n\n{random.choice(ENDINGS)}",
        "image_url": f"https://images.example.org/scenes/{index:04}.png",
        "metadata": {"models": ["north-1", "south-2"], "temperature": random.choice([0.2, 0.7, 1.0]), "pair": index},
        "task_group_id": f"group-{index // 3 + 1:03}",
    }
    if index % 10 == 9:
        del record["image_url"]
    return record


def catalogue_jsonl() -> str:
    """60 products, nothing wrong with any of them."""
    random = Random(2027)
    return "".join(json.dumps(_product(index, random), ensure_ascii=False) + "\n" for index in range(60))


def _product(index: int, random: Random) -> dict[str, object]:
    sku = f"EX-{index + 1:05}"
    product: dict[str, object] = {
        "sku": sku,
        "title": f"{ITEMS[index % len(ITEMS)]}, {random.choice(COLOURS)}",
        "price": round(random.uniform(4, 120), 2),
        "currency": random.choice(["EUR", "GBP", "USD"]),
        "in_stock": random.random() < 0.8,
        "released": (date(2024, 1, 15) + timedelta(days=11 * index)).isoformat(),
        "image_url": f"https://shop.example.com/images/{sku}.webp",
        "attributes": {"weight_g": random.randrange(80, 900), "tags": random.sample(["new", "gift", "sale"], 2)},
    }
    if index % 4 == 0:
        product["video_url"] = f"https://shop.example.com/films/{sku}.mp4"
    if index % 6 == 0:
        product["audio_url"] = f"https://shop.example.com/spoken/{sku}.mp3?voice=1"
    return product


MAKERS: dict[str, Callable[[], str]] = {
    "survey.csv": survey_csv,
    "responses.jsonl": responses_jsonl,
    "catalogue.jsonl": catalogue_jsonl,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--into", type=Path, default=SAMPLES, help="folder to write to (default: samples/)")
    folder: Path = parser.parse_args().into
    for name, make in MAKERS.items():
        (folder / name).write_bytes(make().encode())


if __name__ == "__main__":
    main()
