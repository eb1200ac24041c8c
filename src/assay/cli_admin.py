"""The commands of whoever runs a service: `migrate`, `token`, `workspace` and `job`. They work on the database
itself, beside a running service or without one."""

import os
from pathlib import Path
from typing import Any

import click

from assay.cli_output import give_up, print_json, print_table, say
from assay.cli_settings import existing_database, setting_options
from assay.config import Settings
from assay.errors import ErrorCode, NotFound

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")


@click.command()
@setting_options("data_dir", "database_url")
def migrate(**options: Any) -> None:
    """Bring the database's tables up to this release. SQLite's are, by themselves, when the service starts."""
    from assay.db.engine import open_database
    from assay.opening import make_data_dir

    settings = Settings.from_env(os.environ, **options)
    if not settings.database_url:
        make_data_dir(settings)
    url = settings.resolved_database_url()
    file = Path(url.removeprefix("sqlite:///").partition("?")[0])
    is_new = url.startswith("sqlite:///") and not file.exists()
    db = open_database(url)
    before, after = db.migrate()
    db.close()
    if is_new:
        say(f"Made a new database at {file}.")  # a wrong word makes one too, so it is said where
    elif before is None:
        say(f"Made the tables, of revision {after}.")
    elif before != after:
        say(f"Migrated from revision {before} to {after}.")
    else:
        say(f"The database is up to date, with tables of revision {after}.")


@click.group()
def job() -> None:
    """What became of an import: for whoever runs the service."""


@job.command("show")
@click.argument("import_id")
@json_option
@setting_options("data_dir", "database_url")
def job_show(import_id: str, as_json: bool, **options: Any) -> None:
    """Show an import's history: every move from state to state.

    Each move has its attempt and reason.
    """
    from assay.db import jobs
    from assay.ids import parse_id

    identifier = parse_id(import_id)
    with existing_database(options) as db, db.read() as tx:
        events = [] if identifier is None else jobs.list_events(tx, identifier)
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
        print_json(rows)
    else:
        print_table(["AT", "FROM", "TO", "ATTEMPT", "REASON"], [list(row.values()) for row in rows])


@click.group()
def token() -> None:
    """API tokens: make, list and revoke them.

    They work beside a running service or without one.
    """


@token.command("create")
@click.option("--workspace", default="default", show_default=True, help="The workspace it opens; made if need be.")
@click.option("--name", required=True, help="What the token is for; shown in lists and as `created_by`.")
@click.option("--role", type=click.Choice(["reader", "writer"]), default="writer", show_default=True)
@click.option("--expires-in-days", type=click.IntRange(1, 36_500), help="Default: it does not expire.")
@json_option
@setting_options("data_dir", "database_url")
def token_create(
    workspace: str, name: str, role: str, expires_in_days: int | None, as_json: bool, **options: Any
) -> None:
    """Make a token. Its text is shown once, and is nowhere else: the service keeps a hash."""
    from datetime import UTC, datetime, timedelta

    from assay.db.tokens import Role
    from assay.operations import create_token

    expires_at = None if expires_in_days is None else datetime.now(UTC) + timedelta(days=expires_in_days)
    with existing_database(options) as db:
        made, text = create_token(db, workspace, name=name, role=Role(role), expires_at=expires_at)
    if as_json:
        print_json(_token_row(made) | {"token": text})
    else:
        click.echo(text)
        until = "does not expire" if made.expires_at is None else f"expires {made.expires_at:%Y-%m-%d %H:%M} UTC"
        click.echo(f"A {made.role.value} of the workspace '{workspace}'; {until}. It is not shown again.", err=True)


@token.command("list")
@json_option
@setting_options("data_dir", "database_url")
def token_list(as_json: bool, **options: Any) -> None:
    """List the tokens, without their texts."""
    from assay.db import tokens

    with existing_database(options) as db, db.read() as tx:
        rows = [_token_row(found) for found in tokens.list_tokens(tx)]
    if as_json:
        print_json(rows)
        return
    moments = ("created_at", "expires_at", "revoked_at")
    columns = ["id", "workspace_id", "role", "name"]
    table = [[row[name] for name in columns] + [_minute(row[name]) for name in moments] for row in rows]
    print_table(["ID", "WORKSPACE", "ROLE", "NAME", "CREATED", "EXPIRES", "REVOKED"], table)


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
        give_up("That is no token id; 'assay token list' shows the ids.")
    with existing_database(options) as db:
        revoke_token(db, identifier)
    click.echo("Revoked.")


@click.group()
def workspace() -> None:
    """Workspaces: who works in one sees nothing of another."""


@workspace.command("create")
@click.argument("workspace_id")
@setting_options("data_dir", "database_url")
def workspace_create(workspace_id: str, **options: Any) -> None:
    """Make a workspace.

    'assay token create --workspace' then opens it to somebody.
    """
    from assay.operations import create_workspace

    with existing_database(options) as db:
        create_workspace(db, workspace_id)
    click.echo(workspace_id)


@workspace.command("list")
@json_option
@setting_options("data_dir", "database_url")
def workspace_list(as_json: bool, **options: Any) -> None:
    """List the workspaces.

    Each has the number of its datasets and of its valid tokens.
    """
    from assay.db import tokens

    with existing_database(options) as db, db.read() as tx:
        found = tokens.list_workspaces(tx)
    if as_json:
        print_json([{"id": row.id, "datasets": row.dataset_count, "tokens": row.token_count} for row in found])
    else:
        rows = [(row.id, row.dataset_count, row.token_count) for row in found]
        print_table(["WORKSPACE", "DATASETS", "TOKENS"], rows, right=[1, 2])


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
