"""Assay: the import desk for datasets. `Client` talks to a service; `check` judges a file or a table right here."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from assay.client import Client
    from assay.client_async import AsyncClient
    from assay.client_calls import Progress
    from assay.client_faults import ApiError, ImportUnfinished, MigrationUnknown, ServiceUnreachable, SourceChanged
    from assay.errors import InvalidFields
    from assay.kernel.files import FileFault
    from assay.offline import Report, check

__version__ = "0.1.0"

__all__ = [
    "ApiError",
    "AsyncClient",
    "Client",
    "FileFault",
    "ImportUnfinished",
    "InvalidFields",
    "MigrationUnknown",
    "Progress",
    "Report",
    "ServiceUnreachable",
    "SourceChanged",
    "check",
]

_HOMES = {
    "AsyncClient": "assay.client_async",
    "Client": "assay.client",
    "FileFault": "assay.kernel.files",
    "InvalidFields": "assay.errors",
    "Progress": "assay.client_calls",
    "Report": "assay.offline",
    "check": "assay.offline",
}


def __getattr__(name: str) -> Any:
    # What is asked for is loaded then: `import assay` costs nothing, and the client needs no kernel.
    if name not in __all__:
        raise AttributeError(f"module 'assay' has no attribute {name!r}")
    return getattr(import_module(_HOMES.get(name, "assay.client_faults")), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
