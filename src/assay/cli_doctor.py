"""`assay doctor`: tries everything that a service needs, and says what to mend."""

import os
import sys
from collections.abc import Callable
from concurrent.futures import wait
from datetime import UTC, datetime
from typing import Any

import click

from assay.cli_output import UNUSABLE, print_json, print_table
from assay.cli_settings import setting_options
from assay.config import Settings, option_of
from assay.errors import AssayError, ErrorCode, Unavailable

MOST_SKEW_SECONDS = 2.0
ENGINE_SECONDS = 30
DAMAGE_SECONDS = 30
OF_DATABASE = ("tables", "clock")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
@setting_options("data_dir", "database_url", "storage_url", "engine", "workers")
def doctor(as_json: bool, **options: Any) -> None:
    """Check a deployment: database, tables, storage, clock, engine.

    Exit code 2 when something must be mended.
    """
    settings = Settings.from_env(os.environ, **options)
    checks: list[tuple[str, Callable[[Settings], str]]] = [
        ("database", _check_database),
        ("tables", _check_tables),
        ("clock", _check_clock),
        ("storage", _check_storage),
        ("engine", _check_engine),
    ]
    rows: list[tuple[str, str, str]] = []
    for name, check in checks:
        is_blind = name in OF_DATABASE and rows[0][1] != "ok"
        rows.append((name, "-", "can't be known without the database") if is_blind else _outcome(name, check, settings))
    if as_json:
        print_json([{"check": name, "ok": verdict == "ok", "detail": detail} for name, verdict, detail in rows])
    else:
        print_table(["CHECK", "", "DETAIL"], rows)
    if any(verdict != "ok" for _, verdict, _ in rows):
        sys.exit(UNUSABLE)


def _outcome(name: str, check: Callable[[Settings], str], settings: Settings) -> tuple[str, str, str]:
    try:
        return name, "ok", check(settings)
    except AssayError as error:
        return name, "MEND", error.message


def _check_database(settings: Settings) -> str:
    from assay.db.engine import open_database
    from assay.db.faults import BUSY

    if not settings.database_url and not settings.data_dir.is_dir():
        message = f"There is no data directory at {settings.data_dir} yet; 'assay serve' makes it."
        raise Unavailable(message, code=ErrorCode.DATABASE_UNAVAILABLE)
    db = open_database(settings.resolved_database_url())
    try:
        db.try_write()
    except Unavailable as error:
        if not db.is_remote or BUSY not in error.message:
            raise
        message = f"{error.message} Is it running, and is {option_of('database_url')} right?"
        raise Unavailable(message, code=error.code) from error
    finally:
        db.close()
    return f"{db.name} answers, and may be written"


def _check_tables(settings: Settings) -> str:
    from assay.db.engine import open_database

    db = open_database(settings.resolved_database_url())
    try:
        if not db.is_migrated():
            message = "The tables are not those of this release: run 'assay migrate'."
            raise Unavailable(message, code=ErrorCode.DATABASE_UNAVAILABLE)
        is_sound = db.check_for_damage(within_seconds=DAMAGE_SECONDS)
    finally:
        db.close()
    if is_sound:
        return "of this release, without damage"
    is_large = not db.is_remote
    return "of this release" + (f"; too large to look for damage within {DAMAGE_SECONDS} s" if is_large else "")


def _check_clock(settings: Settings) -> str:
    from assay.db.engine import open_database

    db = open_database(settings.resolved_database_url())
    with db.read() as tx:
        skew = abs((tx.now() - datetime.now(UTC)).total_seconds())
    db.close()
    if skew > MOST_SKEW_SECONDS:
        message = f"This machine's clock and the database's are {skew:.1f} s apart: set both by NTP."
        raise Unavailable(message, code=ErrorCode.DATABASE_UNAVAILABLE)
    return f"within {MOST_SKEW_SECONDS:.0f} s of the database's"


def _check_storage(settings: Settings) -> str:
    from assay.ids import new_id
    from assay.storage.base import open_storage

    if not settings.storage_url and not settings.data_dir.is_dir():
        message = f"There is no data directory at {settings.data_dir} yet; 'assay serve' makes it."
        raise Unavailable(message, code=ErrorCode.STORAGE_UNAVAILABLE)
    storage = open_storage(settings.resolved_storage_url(), signing_key=b"", base_url="")
    key, data = f"doctor/{new_id()}", b"assay doctor"
    storage.put(key, data)
    try:
        if storage.read_range(key, 0, len(data)) != data:
            message = "What was written to the storage came back changed."
            raise Unavailable(message, code=ErrorCode.STORAGE_UNAVAILABLE)
    finally:
        storage.delete(key)
    return "wrote, read and removed a file"


def _check_engine(settings: Settings) -> str:
    from assay.chunk_runs import warm_up
    from assay.engines import open_engine

    if settings.workers == 0:
        return "none here: --workers 0 serves the API alone"
    engine = open_engine(settings)
    done, _ = wait([engine.executor.submit(warm_up)], timeout=ENGINE_SECONDS)
    engine.end()
    if not done or any(future.exception() for future in done):
        message = (
            f"The engine did not do a task within {ENGINE_SECONDS} s: are its workers running, with Assay installed?"
        )
        raise Unavailable(message, code=ErrorCode.ENGINE_UNAVAILABLE)
    return "did a task"
