"""Files that are sent while they are made: their name, their type, and what happens when one breaks off."""

import itertools
import re
from collections.abc import Generator
from urllib.parse import quote

from starlette.responses import StreamingResponse

MAX_NAME_CHARACTERS = 200
_UNFIT = re.compile(r'[\x00-\x1f\x7f-\x9f/\\:*?"<>|\ud800-\udfff]+')


def download(blocks: Generator[bytes, None, None], *, media_type: str, name: str) -> StreamingResponse:
    """Send the blocks as a file. What fails before the first block is answered as any other fault.

    What fails later ends the connection, so that a part is never taken for the whole; and a client that goes away
    ends the making of blocks, since nobody asks for the next one.
    """
    first = next(blocks, b"")
    return StreamingResponse(
        itertools.chain([first] if first else [], blocks),
        media_type=media_type,
        headers={"Content-Disposition": content_disposition(name)},
    )


def content_disposition(name: str) -> str:
    """RFC 6266: the name in ASCII for old clients, and as it is, in RFC 8187's encoding, for all others."""
    fit = _UNFIT.sub("_", name).strip(" .")
    stem, dot, extension = fit.rpartition(".")
    fit = f"{stem[:MAX_NAME_CHARACTERS]}{dot}{extension[:MAX_NAME_CHARACTERS]}" or "download"
    plain = re.sub(r"[^A-Za-z0-9 ._()-]", "_", fit)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(fit, safe='')}"


def binary(*media_types: str) -> dict[str, object]:
    """The OpenAPI description of an answer that is a file of one of these types."""
    return {
        "description": "The file.",
        "content": {name: {"schema": {"type": "string", "format": "binary"}} for name in media_types},
    }
