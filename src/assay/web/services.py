"""What the routes work with: the open database and storage, the settings, and a way to wake the worker."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from assay.appending import KnownIds
from assay.config import Settings
from assay.db.engine import Database
from assay.storage.base import Storage


@dataclass(frozen=True)
class Services:
    """Held by the application, opened and closed by whoever serves it.

    `is_stopping` is set when the server is about to end: what waits for something answers as things are.
    """

    settings: Settings
    db: Database
    storage: Storage
    wake_worker: Callable[[], None]
    known_ids: KnownIds = field(default_factory=KnownIds)
    is_stopping: threading.Event = field(default_factory=threading.Event)


def services_of(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


WithServices = Annotated[Services, Depends(services_of)]
