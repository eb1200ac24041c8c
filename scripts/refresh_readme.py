"""Write into README.md what it shows of the service as it is now: the demo's first report, a check, the settings.

Run it when tests/test_readme.py says that one of them has changed, and read the difference before you commit it.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

from assay.config import Settings, option_of, variable_of

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
CHECK = ["check", "samples/survey.csv", "--schema", "samples/survey.schema.json"]


def settings_rows() -> Iterator[str]:
    """The lines of the settings table, in the settings' own words."""
    for row in fields(Settings):
        default = f"`{row.default}`" if str(row.default) else ""
        option = "–" if row.metadata.get("is_secret") else f"`{option_of(row.name)}`"
        yield f"| {option} | `{variable_of(row.name)}` | {default} | {row.metadata['help']} |"


def output_of(*command: str) -> str:
    return subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", check=False).stdout


def replaced(text: str, start: str, *, end: str, by: str) -> str:
    """The text with what stands between two markers, first found, replaced."""
    before, rest = text.split(start, maxsplit=1)
    return before + start + by + end + rest.split(end, maxsplit=1)[1]


def main() -> None:
    text = README.read_text(encoding="utf-8")
    report = re.search(r"^\{\n.*?^\}\n", output_of(sys.executable, "scripts/demo.py"), re.MULTILINE | re.DOTALL)
    assert report is not None, "the demo shows no report"
    text = replaced(text, "```json\n", end="```", by=report[0])
    checked = output_of(str(Path(sys.executable).parent / "assay"), *CHECK)
    text = replaced(text, "```text\n", end="```", by=checked)
    rule = "| option | variable | default | meaning |\n| --- | --- | --- | --- |\n"
    text = replaced(text, rule, end="\n\n", by="\n".join(settings_rows()))
    README.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
