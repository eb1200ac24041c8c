"""The start of a file: whether it is text that can be read at all, where its records begin, and a CSV's header."""

import codecs
import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from assay.kernel.csv import split_cells
from assay.kernel.framing import CSV, IN_QUOTES, Framing
from assay.kernel.header_names import SEPARATORS, nearly_named, separator_of, separator_of_quoted
from assay.rejections import Fault, named, quoted_key
from assay.schema import DatasetSchema

ReadRange = Callable[[int, int], bytes]
"""(offset, length) → exactly these bytes, fewer only at the end of the file."""

UTF8_BOM = b"\xef\xbb\xbf"
SCAN_BYTES = 1024 * 1024
SNIFFED_BYTES = 4096

# UTF-32 first: its little-endian mark begins with UTF-16's.
_ENCODING_MARKS = {
    b"\xff\xfe\x00\x00": "UTF-32",
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}
_BINARY_MARKS = {
    b"PK\x03\x04": "a ZIP archive or an office document",
    b"\x1f\x8b": "a gzip archive",
    b"\x28\xb5\x2f\xfd": "a Zstandard archive",
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ": "an xz archive",
    b"PAR1": "a Parquet file",
    b"%PDF-": "a PDF document",
    b"SQLite format 3\x00": "an SQLite database",
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
}
# A spreadsheet's hint to itself, before the header: which character separates cells.
_SEPARATOR_HINT = re.compile(rb'"?sep=[,;|\t: ]"?,*', re.IGNORECASE)
# A JSON object, or an array of them; no header of a CSV can begin so.
_JSON_BEGINNING = re.compile(rb'(?:\[[ \t]*)?\{[ \t]*"')
_SAVE_AGAIN = "Save it as UTF-8 and try again."
_OTHER_FILE = "Only CSV and JSONL files in UTF-8 are taken."
_WITH_COMMAS = "save the file with commas, and quotes around values that have one, and try again."
_COMPARED = "Names are compared exactly, upper and lower case too."
_A_RECORD_A_LINE = (
    "here each line must be an object of its own. Write one object a line, with no comma behind it, as by "
    "`jq -c '.[]' FILE` for an array or `jq -c . FILE` for objects, and try again."
)


class FileFault(Exception):
    """The whole file can't be used; the reason says why, and what to do."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Header:
    """A CSV's first record: its names, trimmed, and its byte range without the line end."""

    names: tuple[str, ...]
    offset: int
    length: int
    end: int


def text_offset(read: ReadRange, size_bytes: int) -> int:
    """Where the text begins, past a byte order mark. Raises `FileFault` for what is no UTF-8 text."""
    if size_bytes == 0:
        raise FileFault("The file is empty.")
    head = read(0, SNIFFED_BYTES)
    if no_text := no_text_in_utf8(head):
        what, advice = no_text
        raise FileFault(f"The file {what}. {advice}")
    return len(UTF8_BOM) if head.startswith(UTF8_BOM) else 0


def no_text_in_utf8(head: bytes) -> tuple[str, str] | None:
    """What the start of a file shows it to be, such as "is encoded as UTF-16", and what to do with a file that is."""
    for mark, encoding in _ENCODING_MARKS.items():
        if head.startswith(mark):
            return f"is encoded as {encoding}", _SAVE_AGAIN
    for mark, kind in _BINARY_MARKS.items():
        if head.startswith(mark) and not (mark.isascii() and _is_plain(head)):  # a column may be called PAR1
            return f"is {kind}, not text", _OTHER_FILE
    nuls = head.count(0)
    if nuls * 10 <= len(head):
        return None
    # Text of European languages in UTF-16 has a NUL in nearly every pair of bytes, always on the same side.
    sides = head[::2].count(0), head[1::2].count(0)
    if max(sides) > 3 * len(head) // 8 and min(sides) < nuls // 10:
        return "seems to be encoded as UTF-16", _SAVE_AGAIN
    return "is binary, not text", _OTHER_FILE


def check_first_lines(head: bytes, *, is_whole: bool, keys: Collection[str]) -> None:
    """Raises `FileFault` if the start of the text shows JSON that is not a record a line, or a CSV. A first record that
    is only bad is none of that: it is rejected, and the others are taken. `keys` are the schema's, if there is one."""
    lines = [line.strip() for line in head.split(b"\n") if line.strip()]
    if _is_csv(lines if is_whole else lines[:-1], keys):
        raise FileFault(
            "The file has columns, with their names in its first line, as a CSV has. Give it a name that ends with "
            ".csv, and try again."
        )
    first, second, third, *_ = lines[:3] + [b""] * 3
    is_record = second.startswith(b"{") and second.endswith(b"}")
    if first == b"{" and second.startswith((b'"', b"}")):
        raise FileFault(f"The file is JSON over several lines; {_A_RECORD_A_LINE}")
    if first == b"[":
        is_array = bool(second) and (not is_record or third == b"]")
    else:
        is_open = first.endswith((b"{", b",")) or (not second and (is_whole or b"\n" not in head))
        is_array = first.startswith(b"[") and first[1:].lstrip().startswith(b"{") and is_open
    if is_array:
        raise FileFault(f"The file is a JSON array; {_A_RECORD_A_LINE}")


def _is_csv(lines: list[bytes], keys: Collection[str]) -> bool:
    """Whether all these lines, of which none is a record of JSONL, have as many cells as the first has names."""
    rows = [split_cells(line) for line in lines]
    names = rows[0] if len(rows) > 1 else []
    if isinstance(names, Fault) or len(names) < 2 or lines[0].startswith(b"["):
        return False
    is_ours = not keys or not {name.strip() for name in names}.isdisjoint(keys)
    return is_ours and all(not isinstance(row, Fault) and len(row) == len(names) for row in rows)


def _is_plain(head: bytes) -> bool:
    """Whether the start of a file is text: UTF-8, but for its last character, and no control characters in it."""
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return not any(ord(letter) < 0x20 and letter not in "\t\r\n" for letter in text)


def record_end(read: ReadRange, offset: int, framing: Framing, *, block_bytes: int) -> tuple[int, bool]:
    """Where the record that begins at `offset` ends, just past its line feed or at the end of the file; and whether
    the file ends within its quotes. Holds one block at a time, however long the record is."""
    so_far, at = b"", offset
    while block := read(at, block_bytes):
        end, carried = framing.end(so_far + block, 0)
        if end >= 0:
            return at + end - len(so_far), False
        so_far = carried
        at += len(block)
    return at, so_far == IN_QUOTES


def is_blank(read: ReadRange, offset: int, end: int, framing: Framing) -> bool:
    """Whether a line too long to be held is no record."""
    blocks = (read(at, min(SCAN_BYTES, end - at)) for at in range(offset, end, SCAN_BYTES))
    return all(not block.strip(framing.blank) for block in blocks)


def line_end_length(read: ReadRange, end: int) -> int:
    """How many bytes before `end` are a record's line end."""
    tail = read(max(end - 2, 0), min(end, 2))
    without = tail.removesuffix(b"\n").removesuffix(b"\r")
    return len(tail) - len(without)


def read_header(read: ReadRange, *, size_bytes: int, record_limit_bytes: int) -> Header:
    """A CSV's header, after blank lines if there are any. Raises `FileFault` when it can't name the columns."""
    offset = text_offset(read, size_bytes)
    while True:
        end, in_quotes = record_end(read, offset, CSV, block_bytes=SCAN_BYTES)
        length = end - offset - line_end_length(read, end)
        if end >= size_bytes or length > 0:
            break
        offset = end
    start = read(offset, min(end - offset, SCAN_BYTES))
    if _JSON_BEGINNING.match(start):
        raise FileFault(
            "The file begins as JSON does, not with the names of columns. Give it a name that ends with .jsonl, and "
            "try again."
        )
    if in_quotes:
        raise FileFault("The header of the file has a quote that is never closed. Close it and try again.")
    if end >= size_bytes and b"\r" in start and b"\n" not in start:
        raise FileFault(
            "The lines of the file end as on old Macs, with CR alone. Save it with LF or CRLF and try again."
        )
    if length > record_limit_bytes:
        raise FileFault(f"The header is {length:,} bytes long; at most {record_limit_bytes:,} are allowed.")
    return Header(names=_names(read(offset, max(length, 0))), offset=offset, length=length, end=end)


def _names(record: bytes) -> tuple[str, ...]:
    if _SEPARATOR_HINT.fullmatch(record):
        raise FileFault(
            "The first line only tells a spreadsheet what separates cells (sep=). Delete it, so that the header comes "
            "first, with commas between its names and values, and try again."
        )
    cells = split_cells(record)
    if isinstance(cells, Fault):
        if cells.code == "malformed_csv" and (separator := separator_of_quoted(record.decode())):
            raise _separated_by(separator)
        raise FileFault(f"The header can't be read. {cells.reason}. Mend it and try again.")
    names = tuple(cell.strip() for cell in cells)
    if names == ("",):
        raise FileFault("The file has no records.")
    empty = [number for number, name in enumerate(names, start=1) if not name]
    if empty:
        of_pandas = " pandas writes its index there; to_csv(index=False) leaves it out." if empty == [1] else ""
        columns = ", ".join(map(str, empty[:20]))
        raise FileFault(f"The header has no name for column {columns}. Name each column.{of_pandas}")
    repeated = [quoted_key(name) for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise FileFault(
            f"The header names more than one column: {', '.join(repeated[:20])}. Name each column differently."
        )
    return names


def _separated_by(separator: str) -> FileFault:
    return FileFault(
        f"The header's names are separated by {SEPARATORS[separator]}; here it must be commas. S{_WITH_COMMAS[1:]}"
    )


def check_separator(names: tuple[str, ...], records: Sequence[bytes]) -> None:
    """Raises `FileFault` if the header seems to be one name only because something else than commas separates it, and
    each of the records that follow too."""
    separator = separator_of(names[0]) if len(names) == 1 else None
    if separator is not None and records and all(separator.encode() in record for record in records):
        raise _separated_by(separator)


def check_header(names: tuple[str, ...], schema: DatasetSchema) -> None:
    """Raises `FileFault` if a required field has no column, as every record would lack it, or if no field has one, as
    nothing of any record would be left."""
    keys = [field.key for field in schema.fields]
    lacking = set(keys).difference(names)
    if not lacking:
        return
    separator = separator_of(names[0]) if len(names) == 1 and names[0] not in keys else None
    if separator is not None and not lacking.isdisjoint(name.strip() for name in names[0].split(separator)):
        raise _separated_by(separator)
    required = [field.key for field in schema.fields if field.key in lacking and field.is_required(schema.strict)]
    if required:
        noun = "a column that the schema requires" if len(required) == 1 else "columns that the schema requires"
        what = f"lacks {noun}: {', '.join(map(quoted_key, required))}. {_COMPARED}"
    elif len(lacking) == len(keys):
        what = f"has none of the schema's fields: {named([*map(quoted_key, keys)])}. {_COMPARED}"
    else:
        return
    hints = nearly_named(set(names).difference(keys), required or keys)
    if separator is not None:
        hints.append(f"If its names are separated by {SEPARATORS[separator]}, {_WITH_COMMAS}")
    raise FileFault(" ".join([f"The header {what}", *hints]))
