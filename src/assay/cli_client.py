"""What the commands have in common that talk to a running service: where it is, how its refusals are told, its datasets
by name."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from assay.cli_output import give_up
from assay.errors import ErrorCode

if TYPE_CHECKING:
    from assay.client import Client
    from assay.wire import DatasetBody

SHOWN_IDS = 10

Command = TypeVar("Command", bound=Callable[..., Any])

HINTS = {
    401: "Is ASSAY_TOKEN right?",
    403: "'assay token list', on the service's machine, shows what each token may do.",
    429: "Wait a little, and do it again.",
}

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")


def service_options(command: Command) -> Command:
    """Where the service is. The token for it is a variable alone: every user of a machine can read options."""
    return click.option(
        "--base-url",
        envvar="ASSAY_URL",
        show_envvar=True,
        default="http://127.0.0.1:8000",
        show_default=True,
        help="The service's address.",
    )(command)


@contextmanager
def open_client(base_url: str) -> Iterator["Client"]:
    """A client whose faults end the command with one sentence."""
    from assay.client import Client
    from assay.client_faults import ApiError, ServiceUnreachable

    if not os.environ.get("ASSAY_TOKEN", "").strip():
        give_up(
            "No token: set the variable ASSAY_TOKEN. 'assay serve' prints one on its first start; "
            "'assay token create', on the service's machine, makes more."
        )
    try:
        client = Client(base_url)
    except ValueError as error:
        give_up(str(error))
    try:
        with client:
            yield client
    except (ApiError, ServiceUnreachable) as error:
        give_up(explained(error))
    except BrokenPipeError:
        raise
    except OSError as error:
        give_up(f"Can't read or write {error.filename or 'the file'}: {error.strerror or error}.")


def explained(error: Exception) -> str:
    """What happened, and what to do next."""
    from assay.client_faults import ApiError, ServiceUnreachable

    if isinstance(error, ApiError):
        is_elsewhere = error.error_code in (0, ErrorCode.UNKNOWN_ROUTE)
        hint = "--base-url or ASSAY_URL says where the service is." if is_elsewhere else HINTS.get(error.status)
        return f"{error} {hint}" if hint else str(error)
    if isinstance(error, ServiceUnreachable) and error.was_reached:
        return f"{error} Do it again; a proxy on the way, or the service's log, may tell why."
    return f"{error} 'assay serve' starts one; --base-url or ASSAY_URL says where it is."


def find_dataset(client: "Client", text: str) -> "DatasetBody":
    """The dataset of that id, or of that name."""
    found = find_dataset_if_there(client, text)
    if found is None:
        give_up(
            f"There is no dataset named {text!r}. 'assay dataset list' shows them; 'assay dataset create' makes one."
        )
    return found


def find_dataset_if_there(client: "Client", text: str) -> "DatasetBody | None":
    """None where there is none of that name. A name may be that of several: none of them is chosen then."""
    from assay.ids import parse_id

    if parse_id(text) is not None:
        return client.dataset(text)
    named = [dataset for dataset in client.datasets() if dataset.name == text]
    if len(named) > 1:
        ids = ", ".join(str(dataset.id) for dataset in named[:SHOWN_IDS])
        more = f" and {len(named) - SHOWN_IDS:,} more" if len(named) > SHOWN_IDS else ""
        give_up(f"{len(named):,} datasets are named {text!r}: name it by its id, one of {ids}{more}.")
    return named[0] if named else None
