"""From a DataFrame, by an import, to a Polars frame of the accepted records. Runs as a script, or cell by cell.

Needs a service: `assay serve`, with its address in ASSAY_URL and its token in ASSAY_TOKEN.
"""

# %% A table as it comes out of a survey tool: numbers, texts and gaps in one column.
import pandas as pd
import polars as pl

import assay

answers = pd.DataFrame(
    {
        "participant": ["P1", "P2", "P3", "P4", "P4"],
        "age": [34, "unknown", 51, 28, 28],
        "answered_at": pd.to_datetime(
            ["2026-03-01 09:30", "2026-03-01 10:00", None, "2026-03-02 08:15", "2026-03-02 08:15"]
        ),
    }
)

# %% What a good record looks like.
schema = {
    "strict": True,
    "fields": {
        "participant": {"type": "text", "pattern": "^P[0-9]+$"},
        "age": {"type": "integer", "exclusiveMinimum": 0},
        "answered_at": {"type": "datetime"},
    },
}

# %% A look at it here, with no service.
report = assay.check(answers, schema)
print(f"{report.accepted_count} of {report.record_count} records would be accepted")

# %% The import. It returns when all records are checked.
with assay.Client() as client:
    dataset = client.create_dataset("Survey answers", schema=schema)
    job = client.import_file(dataset.id, answers, filename="answers.jsonl")
    print(f"{job.status}: {job.accepted_count} accepted, {job.rejected_count} rejected")

    # %% Why records were rejected, as a frame.
    faults = pl.DataFrame([error.model_dump() for error in client.errors(dataset.id, job.import_id)])
    print(faults)

    # %% The accepted records: typed, and each once.
    accepted = client.to_polars(dataset.id)
    print(accepted.select("participant", "age", "answered_at"))
