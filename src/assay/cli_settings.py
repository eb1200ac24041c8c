"""The settings as command-line options, and the database of a service as the operator's commands open it."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from assay.config import Settings, option_of, variable_of
from assay.errors import ErrorCode, Invalid

if TYPE_CHECKING:
    from assay.db.engine import Database

Command = TypeVar("Command", bound=Callable[..., Any])


def setting_options(*names: str) -> Callable[[Command], Command]:
    """The options of some settings, or of all but the secrets; the settings read the variables of the same names."""

    def add(command: Command) -> Command:
        for row in reversed(fields(Settings)):
            if (names and row.name not in names) or row.metadata.get("is_secret"):
                continue
            kind = Path if isinstance(row.default, Path) else type(row.default)
            default = f"[default: {row.default}] " if row.default != "" else ""
            text = f"{row.metadata['help']} {default}[env: {variable_of(row.name)}]"
            command = click.option(option_of(row.name), row.name, type=kind, default=None, help=text)(command)
        return command

    return add


@contextmanager
def existing_database(options: dict[str, Any]) -> Iterator["Database"]:
    """The database of a service that was set up before, or is running."""
    from assay.opening import open_migrated

    settings = Settings.from_env(os.environ, **options)
    if not settings.database_url and not settings.data_dir.is_dir():
        message = (
            f"There is no data directory at {settings.data_dir}. Name it with --data-dir, or run 'assay serve' first."
        )
        raise Invalid(message, code=ErrorCode.INVALID_SETTING)
    db = open_migrated(settings)
    try:
        yield db
    finally:
        db.close()
