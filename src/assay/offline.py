"""`assay.check`: the service's kernel as a function, for a file or a table, with no server."""

import tempfile
from pathlib import Path
from typing import Any

from assay.client_calls import schema_json
from assay.client_sources import Source, open_source
from assay.kernel.check import Report, check_file
from assay.schema import DatasetSchema, parse_schema
from assay.wire import SchemaBody

__all__ = ["Report", "check"]


def check(
    source: Source,
    schema: DatasetSchema | SchemaBody | dict[str, Any],
    *,
    filename: str | None = None,
    accepted: Path | str | None = None,
    rejected: Path | str | None = None,
    processes: int = 1,
) -> Report:
    """Check every record of a .csv or .jsonl path, a file object, a DataFrame or an Arrow table against a schema.

    `filename` is what the file is called, for its ending, instead of its own name. `accepted` gets the accepted records
    as Parquet, each once; `rejected` the others as they stand. Raises `InvalidFields` for a schema that can't be used,
    `FileFault` for such a file, and `ValueError` for an output that would overwrite the source or the other output.
    With more than one of `processes`, a script must hold its own code behind `if __name__ == "__main__":`, as Python's
    pools need it.
    """
    _look_at_outputs(source, [Path(output) for output in (accepted, rejected) if output is not None])
    dataset_schema = schema if isinstance(schema, DatasetSchema) else parse_schema(schema_json(schema))
    if isinstance(source, str | Path) and filename is None:
        path = Path(source)
        return _check(path, dataset_schema, accepted=accepted, rejected=rejected, processes=processes)
    with tempfile.TemporaryDirectory(prefix="assay-") as folder, open_source(source, filename=filename) as upload:
        # By a name of our own: the source's may be anything. Its ending says what is in it.
        path = Path(folder) / ("source" + Path(upload.filename).suffix)
        with path.open("wb") as file:
            file.writelines(upload.read())
        return _check(path, dataset_schema, accepted=accepted, rejected=rejected, processes=processes)


def _look_at_outputs(source: Source, outputs: list[Path]) -> None:
    name = source if isinstance(source, str | Path) else getattr(source, "name", None)
    taken = [Path(name).resolve()] if isinstance(name, str | Path) else []
    for output in outputs:
        if output.resolve() in taken:
            raise ValueError(f"{output} is the file that is checked, or the other output: name another file")
        taken.append(output.resolve())


def _check(
    path: Path,
    schema: DatasetSchema,
    *,
    accepted: Path | str | None,
    rejected: Path | str | None,
    processes: int,
) -> Report:
    return check_file(
        path,
        schema,
        accepted=None if accepted is None else Path(accepted),
        rejected=None if rejected is None else Path(rejected),
        processes=processes,
    )
