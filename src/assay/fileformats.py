"""The file formats a person can upload: their names, file name endings and content types. No I/O, no parsing."""

from dataclasses import dataclass


@dataclass(frozen=True)
class FileFormat:
    """`extension` is lower case with its dot; `content_type` is what an upload must send, exactly."""

    extension: str
    content_type: str


FILE_FORMATS = {
    "csv": FileFormat(extension=".csv", content_type="text/csv"),
    "jsonl": FileFormat(extension=".jsonl", content_type="application/x-ndjson"),
}


def format_of_filename(name: str) -> str | None:
    """The key of `FILE_FORMATS` whose extension the name ends with, in any letter case."""
    lowered = name.lower()
    return next((key for key, row in FILE_FORMATS.items() if lowered.endswith(row.extension)), None)


def format_of_local_file(name: str) -> str | None:
    """As `format_of_filename`; off the service, JSON Lines may have their other ending too."""
    return "jsonl" if name.lower().endswith(".ndjson") else format_of_filename(name)
