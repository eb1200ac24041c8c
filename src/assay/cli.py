"""The command `assay`: reads options and the environment, calls one function, shows what came of it.

What a command needs is imported when it runs, so that none waits for what another needs.
"""

import json
import logging
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from assay import __version__
from assay.cli_check import check
from assay.config import Settings, option_of, variable_of
from assay.errors import AssayError, ErrorCode, Invalid, NotFound

Command = TypeVar("Command", bound=Callable[..., Any])

UNUSABLE = 2  # exit code: the call, the file, the schema or the service can't be used as they are


class AssayGroup(click.Group):
    """Ends with one sentence, not a traceback, where the fault is the caller's or the operator's."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except AssayError as error:
            _give_up(error.message)


def _give_up(message: str) -> NoReturn:
    click.echo(f"assay: {message}", err=True)
    sys.exit(UNUSABLE)


def setting_options(*names: str) -> Callable[[Command], Command]:
    """The options of some settings, or of all; each has its variable of the same name, which the settings read."""

    def add(command: Command) -> Command:
        for row in reversed(fields(Settings)):
            if names and row.name not in names:
                continue
            kind = Path if isinstance(row.default, Path) else type(row.default)
            default = f"[default: {row.default}] " if row.default != "" else ""
            text = f"{row.metadata['help']} {default}[env: {variable_of(row.name)}]"
            command = click.option(option_of(row.name), row.name, type=kind, default=None, help=text)(command)
        return command

    return add


@click.group(cls=AssayGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="assay")
def main() -> None:
    """The import desk for datasets: every record checked, every rejection explained."""


main.add_command(check)


@main.command()
@setting_options()
def serve(**options: Any) -> None:
    """Serve the HTTP API, with the worker inside.

    With nothing set up it keeps everything in ./assay-data, and prints a token on its first start.
    """
    from assay.serving import serve as serve_until_signal

    settings = Settings.from_env(os.environ, **options)
    log_to_stderr()
    with suppress(KeyboardInterrupt):
        serve_until_signal(settings, say=click.echo)


@main.command()
@setting_options()
def worker(**options: Any) -> None:
    """Work on imports, without serving the API: as many of these as there are machines for it.

    Needs the database and the storage that the service has. Uses no port and prints no token.
    """
    from assay.serving import work

    settings = Settings.from_env(os.environ, **options)
    if settings.workers == 0:
        raise Invalid("A worker needs --workers of at least 1.", code=ErrorCode.INVALID_SETTING)
    log_to_stderr()
    with suppress(KeyboardInterrupt):
        work(settings, say=click.echo)


@main.command()
@setting_options("data_dir", "database_url")
def migrate(**options: Any) -> None:
    """Bring the database's tables up to this release. SQLite's are, by themselves, when the service starts."""
    from assay.db.engine import open_database

    settings = Settings.from_env(os.environ, **options)
    if not settings.database_url:
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    db = open_database(settings.resolved_database_url())
    db.migrate()
    db.close()
    click.echo("The database is up to date.")


@main.group()
def job() -> None:
    """What became of an import: for whoever runs the service."""


@job.command("show")
@click.argument("import_id")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
@setting_options("data_dir", "database_url")
def job_show(import_id: str, as_json: bool, **options: Any) -> None:
    """Show an import's history: every move from state to state, with its attempt and reason."""
    from assay.db import jobs
    from assay.ids import parse_id

    identifier = parse_id(import_id)
    db = _open_existing(options)
    with db.read() as tx:
        events = [] if identifier is None else jobs.list_events(tx, identifier)
    db.close()
    if not events:
        raise NotFound(f"There is no import {import_id}.", code=ErrorCode.UNKNOWN_IMPORT)
    rows = [
        {
            "at": event.at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "from": None if event.from_state is None else event.from_state.value,
            "to": event.to_state.value,
            "attempt": event.attempt,
            "reason": event.reason,
        }
        for event in events
    ]
    if as_json:
        click.echo(json.dumps(rows))
    else:
        _print_table(["AT", "FROM", "TO", "ATTEMPT", "REASON"], [list(row.values()) for row in rows])


def _print_table(head: list[str], rows: list[list[Any]]) -> None:
    lines = [head, *([("-" if cell is None else str(cell)) for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    for line in lines:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


@main.group()
def token() -> None:
    """API tokens: make, list and revoke them, beside a running service or without one."""


@token.command("create")
@click.option("--workspace", default="default", show_default=True, help="The workspace it opens; made if need be.")
@click.option("--name", required=True, help="What the token is for; shown in lists and as `created_by`.")
@click.option("--role", type=click.Choice(["reader", "writer"]), default="writer", show_default=True)
@click.option("--expires-in-days", type=click.FloatRange(min=0, min_open=True), help="Default: it does not expire.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
@setting_options("data_dir", "database_url")
def token_create(
    workspace: str, name: str, role: str, expires_in_days: float | None, as_json: bool, **options: Any
) -> None:
    """Make a token. Its text is shown once, and is nowhere else: the service keeps a hash."""
    from datetime import UTC, datetime, timedelta

    from assay.db.tokens import Role
    from assay.operations import create_token

    expires_at = None if expires_in_days is None else datetime.now(UTC) + timedelta(days=expires_in_days)
    db = _open_existing(options)
    made, text = create_token(db, workspace, name=name, role=Role(role), expires_at=expires_at)
    db.close()
    if as_json:
        click.echo(json.dumps(_token_row(made) | {"token": text}))
    else:
        click.echo(text)
        until = "does not expire" if made.expires_at is None else f"expires {made.expires_at:%Y-%m-%d %H:%M} UTC"
        click.echo(f"A {made.role.value} of the workspace '{workspace}'; {until}. It is not shown again.", err=True)


@token.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
@setting_options("data_dir", "database_url")
def token_list(as_json: bool, **options: Any) -> None:
    """List the tokens, without their texts."""
    from assay.db import tokens

    db = _open_existing(options)
    with db.read() as tx:
        rows = [_token_row(found) for found in tokens.list_tokens(tx)]
    db.close()
    if as_json:
        click.echo(json.dumps(rows))
        return
    moments = ("created_at", "expires_at", "revoked_at")
    columns = ["id", "workspace_id", "role", "name"]
    table = [[row[name] for name in columns] + [_minute(row[name]) for name in moments] for row in rows]
    _print_table(["ID", "WORKSPACE", "ROLE", "NAME", "CREATED", "EXPIRES", "REVOKED"], table)


def _minute(moment: str | None) -> str | None:
    return None if moment is None else moment[:16].replace("T", " ")


@token.command("revoke")
@click.argument("token_id")
@setting_options("data_dir", "database_url")
def token_revoke(token_id: str, **options: Any) -> None:
    """End a token's validity at once. TOKEN_ID is the id that `assay token list` shows, not the token's text."""
    from assay.ids import parse_id
    from assay.operations import revoke_token

    identifier = parse_id(token_id)
    if identifier is None:
        _give_up("That is no token id; 'assay token list' shows the ids.")
    db = _open_existing(options)
    revoke_token(db, identifier)
    db.close()
    click.echo("Revoked.")


def _open_existing(options: dict[str, Any]) -> Any:
    """The database of a service that was set up before, or is running."""
    from assay.opening import open_migrated

    settings = Settings.from_env(os.environ, **options)
    if not settings.database_url and not settings.data_dir.is_dir():
        message = (
            f"There is no data directory at {settings.data_dir}. Name it with --data-dir, or run 'assay serve' first."
        )
        raise Invalid(message, code=ErrorCode.INVALID_SETTING)
    return open_migrated(settings)


def _token_row(found: Any) -> dict[str, Any]:
    return {
        "id": str(found.id),
        "workspace_id": found.workspace_id,
        "name": found.name,
        "role": found.role.value,
        "created_at": _moment(found.created_at),
        "expires_at": _moment(found.expires_at),
        "revoked_at": _moment(found.revoked_at),
    }


def _moment(value: Any) -> str | None:
    return None if value is None else value.strftime("%Y-%m-%dT%H:%M:%SZ")


def log_to_stderr() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    # Alembic and the server tell of every step; what they warn of is enough.
    for name in ("alembic", "uvicorn"):
        logging.getLogger(name).setLevel(logging.WARNING)
