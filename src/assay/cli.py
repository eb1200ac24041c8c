"""The command `assay`: reads options and the environment, calls one function, shows what came of it.

What a command needs is imported when it runs, so that none waits for what another needs.
"""

import errno
import logging
import os
import sys
from contextlib import suppress
from typing import Any

import click

from assay import __version__, crash_points
from assay.children import prepare_environment
from assay.cli_admin import job, migrate, token, workspace
from assay.cli_check import check
from assay.cli_dataset import dataset
from assay.cli_doctor import doctor
from assay.cli_import import cancel, import_files
from assay.cli_infer import infer
from assay.cli_output import INTERRUPTED, READER_GONE, give_up, prepare_output
from assay.cli_results import errors, export
from assay.cli_settings import setting_options
from assay.config import Settings
from assay.errors import AssayError, ErrorCode, Invalid


class AssayGroup(click.Group):
    """Ends with one sentence, not a traceback, where the fault is the caller's or the operator's."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except AssayError as error:
            give_up(error.message)
        except (KeyboardInterrupt, click.Abort):
            give_up("Interrupted.", code=INTERRUPTED)
        except BrokenPipeError:
            _forget_output()
            sys.exit(READER_GONE)
        except UnicodeEncodeError as error:
            if not isinstance(error.object, str) or error.encoding != "utf-8":
                raise
            give_up(f"{error.object!r} is not UTF-8: give it another name.")
        except OSError as error:
            if error.filename is not None or error.errno not in (errno.ENOSPC, errno.EIO, errno.EDQUOT):
                raise
            _forget_output()
            give_up(f"Can't write the output: {error.strerror}.")


def _forget_output() -> None:
    """Nobody takes it any more. What is still held back must not be tried again at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@click.group(cls=AssayGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="assay")
def main() -> None:
    """The import desk for datasets: every record checked, every rejection explained."""
    prepare_environment()
    prepare_output()


for command in (check, infer, dataset, import_files, cancel, errors, export, migrate, token, workspace, job, doctor):
    main.add_command(command)


WORKER_SETTINGS = (
    "data_dir",
    "database_url",
    "storage_url",
    "workers",
    "engine",
    "running_jobs_per_workspace",
    "record_limit_bytes",
    "chunk_bytes",
    "max_upload_bytes",
    "lease_seconds",
    "poll_seconds",
    "log_format",
    "webhook_private_networks",
)


@main.command()
@setting_options()
def serve(**options: Any) -> None:
    """Serve the HTTP API, with the worker inside.

    With nothing set up it keeps everything in ./assay-data, and prints a token on its first start.
    """
    from assay.serving import serve as serve_until_signal
    from assay.tracing import start_tracing

    settings = Settings.from_env(os.environ, **options)
    crash_points.arm(os.environ.get(crash_points.VARIABLE, ""))
    log_to_stderr(settings.log_format)
    start_tracing(os.environ)
    with suppress(KeyboardInterrupt):
        serve_until_signal(settings, say=click.echo)


@main.command()
@setting_options(*WORKER_SETTINGS)
def worker(**options: Any) -> None:
    """Work on imports, without serving the API.

    As many of these as there are machines for it. Needs the database and the storage that the service has. Uses no port
    and prints no token.
    """
    from assay.serving import work
    from assay.tracing import start_tracing

    settings = Settings.from_env(os.environ, **options)
    if settings.workers == 0:
        raise Invalid("A worker needs --workers of at least 1.", code=ErrorCode.INVALID_SETTING)
    crash_points.arm(os.environ.get(crash_points.VARIABLE, ""))
    log_to_stderr(settings.log_format)
    start_tracing(os.environ)
    with suppress(KeyboardInterrupt):
        work(settings, say=click.echo)


def log_to_stderr(log_format: str) -> None:
    from assay.log import JsonFormatter, TextFormatter

    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    # Alembic and the server tell of every step; what they warn of is enough.
    for name in ("alembic", "uvicorn"):
        logging.getLogger(name).setLevel(logging.WARNING)
