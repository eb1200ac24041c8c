"""Write into docs/cli.md what the commands say of themselves: exit codes and help texts.

Run it when tests/cli/test_documented.py says that one of them has changed, and read the difference before you
commit it.
"""

from collections.abc import Iterator
from pathlib import Path

import click

from assay.cli import main as assay
from assay.cli_output import EXIT_CODES

PAGE = Path(__file__).parent.parent / "docs" / "cli.md"
CODES_START, CODES_END = "| exit code | meaning |\n| --- | --- |\n", "\n\n"
HELP_START = "<!-- Below, all is written by scripts/write_cli_docs.py -->\n"
COLUMNS = 100


def exit_code_rows() -> str:
    return "\n".join(f"| {code} | {meaning} |" for code, meaning in EXIT_CODES.items())


def help_texts() -> str:
    return "\n".join(_helps(assay, None, name="assay"))


def _helps(command: click.Command, parent: click.Context | None, *, name: str) -> Iterator[str]:
    context = click.Context(command, info_name=name, parent=parent, terminal_width=COLUMNS, **command.context_settings)
    yield f"\n## {context.command_path}\n\n```text\n{command.get_help(context)}\n```"
    if isinstance(command, click.Group):
        for below in command.list_commands(context):
            found = command.get_command(context, below)
            assert found is not None
            yield from _helps(found, context, name=below)


def page_of(text: str) -> str:
    """The page with its generated parts as they are now."""
    before, rest = text.split(CODES_START, maxsplit=1)
    after = rest.split(CODES_END, maxsplit=1)[1]
    text = before + CODES_START + exit_code_rows() + CODES_END + after
    return text.split(HELP_START, maxsplit=1)[0] + HELP_START + help_texts() + "\n"


if __name__ == "__main__":
    PAGE.write_text(page_of(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
