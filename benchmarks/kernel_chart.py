"""The bench's figures as a chart, PNG and SVG."""

from pathlib import Path
from typing import Any

COLOURS = {"Assay": "#0b6e4f", "DuckDB COPY": "#d9a404", "floor": "#9aa5a1"}


def draw(rows: list[dict[str, Any]], folder: Path) -> None:
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    cases = list(dict.fromkeys((row["format"], row["bad"]) for row in rows))
    names = list(dict.fromkeys(row["name"] for row in rows))
    columns = max(1, len(cases) // 2) if len(cases) > 2 else len(cases)
    lines = -(-len(cases) // columns)
    figure, axes = plt.subplots(lines, columns, figsize=(4.6 * columns, 0.7 + 2.7 * lines), squeeze=False, sharey=True)
    for axis, (format, bad) in zip(axes.flat, cases, strict=False):
        found = {row["name"]: row for row in rows if (row["format"], row["bad"]) == (format, bad)}
        limit = 4 * max(row["seconds"] for name, row in found.items() if name in COLOURS)
        for place, name in enumerate(reversed(names)):
            if name not in found:
                axis.text(limit * 0.01, place, "can't read this file", va="center", fontsize=8, color="#777777")
                continue
            seconds = found[name]["seconds"]
            axis.barh(place, min(seconds, limit), color=COLOURS.get(name, "#6c8ebf"))
            label = f" {seconds:.2f} s" if seconds <= limit else f" {seconds:.1f} s, cut"
            at, side = (seconds, "left") if seconds < limit * 0.75 else (min(seconds, limit), "right")
            axis.text(at, place, label + " ", va="center", ha=side, fontsize=8)
        axis.set_xlim(0, limit)
        axis.set_yticks(range(len(names)), list(reversed(names)), fontsize=8)
        axis.set_title(f"{format.upper()}, {bad}% bad", fontsize=10)
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(axis="x", labelsize=8)
    figure.suptitle("Check a file and write Parquet: seconds, two cores, less is better", fontsize=11)
    figure.tight_layout()
    for ending in ("png", "svg"):
        figure.savefig(folder / f"kernel.{ending}", dpi=130)
