"""Reads a multipart form whose last field is a file, as it comes in: nothing of the file is held but a block."""

from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from assay.errors import ErrorCode, Invalid

MAX_FORM_BYTES = 64 * 1024
"""Of all that is not the file: fields, and headers of parts."""


@dataclass
class _Part:
    """The part of the form that is being read."""

    headers: dict[str, bytes] = field(default_factory=dict)
    header_name: bytes = b""
    header_value: bytes = b""
    name: str = ""
    is_file: bool = False
    data: bytearray = field(default_factory=bytearray)


class FormUpload:
    """`open` reads up to the file; then `fields` has what stood before it, and `blocks` gives the file."""

    def __init__(self, request: Request) -> None:
        self.fields: dict[str, str] = {}
        self.filename: str | None = None
        self._stream = request.stream()
        self._blocks: deque[bytes] = deque()
        self._part = _Part()
        self._held_bytes = 0
        self._has_ended = False
        self._parser = _parser_of(request, self)

    async def open(self) -> None:
        while self.filename is None and not self._has_ended:
            await self._read_on()

    async def blocks(self) -> AsyncIterator[bytes]:
        while self._blocks or not self._has_ended:
            if self._blocks:
                yield self._blocks.popleft()
            else:
                await self._read_on()

    async def _read_on(self) -> None:
        block = await anext(self._stream, b"")
        if not block:
            raise ClientDisconnect
        try:
            self._parser.write(block)
        except MultipartParseError as error:
            raise Invalid(f"The form can't be read: {error}.", code=ErrorCode.INVALID_REQUEST) from error

    def on_part_begin(self) -> None:
        self._part = _Part()

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._part.header_name += self._held(data[start:end])

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._part.header_value += self._held(data[start:end])

    def on_header_end(self) -> None:
        part = self._part
        part.headers[part.header_name.decode("latin-1").lower()] = part.header_value
        part.header_name = part.header_value = b""

    def on_headers_finished(self) -> None:
        _, options = parse_options_header(self._part.headers.get("content-disposition", b""))
        self._part.name = options.get(b"name", b"").decode(errors="replace")
        self._part.is_file = b"filename" in options and self.filename is None
        if self._part.is_file:
            self.filename = options[b"filename"].decode(errors="replace")

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._part.is_file:
            self._blocks.append(data[start:end])
            return
        self._part.data += self._held(data[start:end])

    def _held(self, data: bytes) -> bytes:
        self._held_bytes += len(data)
        if self._held_bytes > MAX_FORM_BYTES:
            raise Invalid("The form's fields are too long, or too many.", code=ErrorCode.BODY_TOO_LARGE)
        return data

    def on_part_end(self) -> None:
        if self._part.is_file:
            self._has_ended = True
        else:
            self.fields.setdefault(self._part.name, self._part.data.decode(errors="replace"))

    def on_end(self) -> None:
        self._has_ended = True


def _parser_of(request: Request, form: FormUpload) -> MultipartParser:
    content_type, options = parse_options_header(request.headers.get("content-type", ""))
    boundary = options.get(b"boundary")
    if content_type != b"multipart/form-data" or not boundary:
        raise Invalid("Send the file as a multipart form.", code=ErrorCode.CONTENT_TYPE_MISMATCH)
    names = ("on_part_begin", "on_part_data", "on_part_end", "on_header_field", "on_header_value", "on_header_end")
    callbacks = {name: getattr(form, name) for name in (*names, "on_headers_finished", "on_end")}
    return MultipartParser(boundary, callbacks)  # type: ignore[arg-type]  # a typed dict of the same names
