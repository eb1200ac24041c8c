"""Every setting of the service: name, default and meaning, in one frozen dataclass.

Built in the entry points (the command line, tests) and passed down; nothing else reads the environment.
A setting `data_dir` is the option `--data-dir` and the variable `ASSAY_DATA_DIR`; a secret is a variable alone, since
every user of a machine can read a process's options.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from assay.errors import ErrorCode, Invalid

MIB = 1024 * 1024
MOST_AT_ONCE = 1024 * MIB  # in memory; positions in a chunk have 32 bits
WEEK_SECONDS = 7 * 86_400  # for so long S3 signs a URL


@dataclass(frozen=True)
class Settings:
    """How one service is set up. Times are in seconds, sizes in bytes."""

    host: str = field(default="127.0.0.1", metadata={"help": "Address to listen on."})
    port: int = field(default=8000, metadata={"help": "Port to listen on; 0 takes a free one."})
    data_dir: Path = field(
        default=Path("assay-data"), metadata={"help": "Directory of the embedded database and storage."}
    )
    database_url: str = field(default="", metadata={"help": "Database; empty means SQLite in the data directory."})
    storage_url: str = field(default="", metadata={"help": "Where files are kept; empty means the data directory."})
    base_url: str = field(
        default="",
        metadata={"help": "Address that clients reach the service at; empty means the address it listens on."},
    )
    workers: int = field(
        default=2, metadata={"help": "Processes that check records; with 0 'assay serve' serves the API alone."}
    )
    engine: str = field(
        default="", metadata={"help": "What checks records: empty for processes here, or dask://HOST:PORT."}
    )
    running_jobs_per_workspace: int = field(
        default=64, metadata={"help": "How many imports of one workspace run at once."}
    )
    bootstrap_token: str = field(
        default="", metadata={"help": "Token to set up on the first start, instead of a random one.", "is_secret": True}
    )
    max_upload_bytes: int = field(default=64 * 1024 * MIB, metadata={"help": "Largest upload taken."})
    max_body_bytes: int = field(default=16 * MIB, metadata={"help": "Largest JSON request body taken."})
    rate_limit_per_minute: int = field(
        default=6000, metadata={"help": "Requests that one token may make a minute; 0 sets no limit."}
    )
    log_format: str = field(default="text", metadata={"help": "How the log is written: text or json."})
    record_limit_bytes: int = field(
        default=16 * MIB, metadata={"help": "Largest record taken; a longer one is rejected."}
    )
    chunk_bytes: int = field(
        default=12 * MIB, metadata={"help": "How much of an upload is checked at a time, in memory."}
    )
    upload_url_seconds: int = field(default=3600, metadata={"help": "How long an upload URL is valid."})
    storage_hook_secret: str = field(
        default="",
        metadata={
            "help": "Secret with which an object store tells of uploads at /hooks/storage; empty turns it off.",
            "is_secret": True,
        },
    )
    webhook_private_networks: bool = field(
        default=False,
        metadata={"help": "Whether webhooks may go to http URLs and to addresses of private networks: true or false."},
    )
    lease_seconds: int = field(
        default=30, metadata={"help": "How long a worker may be silent before its job is given to another."}
    )
    poll_seconds: float = field(default=0.5, metadata={"help": "How often an idle worker looks for jobs."})

    @classmethod
    def from_env(cls, environ: Mapping[str, str], **given: object) -> "Settings":
        """Settings from `ASSAY_…` variables; what is `given` and not None wins over them.

        Raises `Invalid` that names the variable or option when a value can't be read.
        """
        values: dict[str, Any] = {}
        for row in fields(cls):
            option = given.get(row.name)
            text = environ.get(variable_of(row.name))
            if option is not None:
                values[row.name] = option
            elif text is not None and text != "":
                values[row.name] = _read(variable_of(row.name), text, type(row.default))
        settings = cls(**values)
        settings.check()
        return settings

    def check(self) -> None:
        """Refuse what no service can run with."""
        rules = [
            ("port", 0 <= self.port <= 65535, "a port between 0 and 65535"),
            ("workers", 0 <= self.workers <= 256, "a number of processes between 0 and 256"),
            ("chunk_bytes", 1024 <= self.chunk_bytes <= MOST_AT_ONCE, "between 1024 bytes and 1 GiB"),
            ("record_limit_bytes", 1024 <= self.record_limit_bytes <= MOST_AT_ONCE, "between 1024 bytes and 1 GiB"),
            ("max_upload_bytes", 1 <= self.max_upload_bytes < 2**63, "at least 1 byte, in 64 bits"),
            ("max_body_bytes", 1024 <= self.max_body_bytes <= MOST_AT_ONCE, "between 1024 bytes and 1 GiB"),
            ("upload_url_seconds", 1 <= self.upload_url_seconds <= WEEK_SECONDS, "between 1 second and a week"),
            ("lease_seconds", 1 <= self.lease_seconds <= 86_400, "between 1 second and a day"),
            ("running_jobs_per_workspace", 1 <= self.running_jobs_per_workspace < 2**31, "at least 1, in 32 bits"),
            ("engine", not self.engine or self.engine.startswith("dask://"), "empty or dask://HOST:PORT"),
            ("rate_limit_per_minute", self.rate_limit_per_minute >= 0, "0 or more"),
            ("log_format", self.log_format in ("text", "json"), "text or json"),
            ("poll_seconds", 0 < self.poll_seconds <= 3600, "more than 0 seconds, and at most an hour"),
            (
                "base_url",
                not self.base_url or self.base_url.startswith(("http://", "https://")),
                "an http or https URL",
            ),
        ]
        for name, holds, wanted in rules:
            if not holds:
                message = f"{option_of(name)} ({variable_of(name)}) must be {wanted}, not {getattr(self, name)!r}."
                raise Invalid(message, code=ErrorCode.INVALID_SETTING)

    def resolved_database_url(self) -> str:
        """The database's address: the one set, or SQLite's file in the data directory."""
        return self.database_url or f"sqlite:///{(self.data_dir / 'assay.db').resolve()}"

    def resolved_storage_url(self) -> str:
        """The storage's address: the one set, or a folder of the data directory."""
        return self.storage_url or (self.data_dir / "storage").resolve().as_uri()


_TRUTHS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}


def option_of(name: str) -> str:
    """The command line's option of a setting."""
    return "--" + name.replace("_", "-")


def variable_of(name: str) -> str:
    """The environment variable of a setting."""
    return "ASSAY_" + name.upper()


def _read(variable: str, text: str, kind: type) -> object:
    if kind is bool:
        if text.lower() not in _TRUTHS:
            message = f"{variable} must be true or false, not {text!r}."
            raise Invalid(message, code=ErrorCode.INVALID_SETTING)
        return _TRUTHS[text.lower()]
    if kind is int or kind is float:
        try:
            return kind(text)
        except ValueError as error:
            message = f"{variable} must be a number, not {text!r}."
            raise Invalid(message, code=ErrorCode.INVALID_SETTING) from error
    return Path(text) if issubclass(kind, Path) else text
