"""The console's style sheet and script, read once, at addresses that change when they do."""

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from fastapi import APIRouter, Request
from starlette.responses import Response

from assay.errors import ErrorCode, NotFound

router = APIRouter(include_in_schema=False)

FOLDER = Path(__file__).parent.parent / "static"
MEDIA_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
FOREVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True)
class StaticFile:
    data: bytes
    media_type: str
    version: str


@cache
def static_files() -> dict[str, StaticFile]:
    files = {}
    for path in sorted(FOLDER.iterdir()):
        data = path.read_bytes()
        version = hashlib.sha256(data).hexdigest()[:16]
        files[path.name] = StaticFile(data=data, media_type=MEDIA_TYPES[path.suffix], version=version)
    return files


def static_url(name: str) -> str:
    return f"/static/{name}?v={static_files()[name].version}"


@router.get("/static/{name}")
def get_static(name: str, request: Request, v: str = "") -> Response:
    """With the version in its address a file may be kept for ever; without, a browser asks each time."""
    file = static_files().get(name)
    if file is None:
        raise NotFound("There is no such file.", code=ErrorCode.UNKNOWN_ROUTE)
    headers = {"ETag": f'"{file.version}"', "Cache-Control": FOREVER if v == file.version else "no-cache"}
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    return Response(file.data, media_type=file.media_type, headers=headers)
