"""The fast pass over JSON's strings: their end, their escapes, their text.

Walkers stand on one fact: a line feed follows the record in the data, and no walker passes one. So what is read after a
byte that isn't a line feed is always there. A walker that comes to the line feed, at `i`, before the record is through
gives `~i` where it else gives a position, and -1 for all else that isn't surely fine: what stands for none.
"""

from assay.kernel.fast_bytes import Bytes, after_character, as_integer, copy_bytes, skip_plain
from assay.kernel.fast_compile import compiled, inlined

LINE_FEED, QUOTE, BACKSLASH = 0x0A, 0x22, 0x5C


@inlined
def has_line_feed(data: Bytes, stop: int) -> bool:
    """Whether one follows a record that stops here, after a carriage return or at once: the last line may lack it."""
    return stop + 1 < data.size or (stop + 1 == data.size and data[stop] == LINE_FEED)


@inlined
def broken_off(data: Bytes, i: int) -> int:
    """What a walker gives that finds something else than it must."""
    return ~i if data[i] == LINE_FEED else -1


@compiled
def hex_of(data: Bytes, i: int) -> int:
    """The value of four hexadecimal digits, or -1."""
    value = 0
    for k in range(i, i + 4):
        c = as_integer(data[k])
        letter = c | 0x20
        if 0x30 <= c <= 0x39:
            value = value * 16 + c - 0x30
        elif 0x61 <= letter <= 0x66:
            value = value * 16 + letter - 0x57
        else:
            return -1
    return value


@compiled
def after_escape(data: Bytes, i: int) -> int:
    """From a backslash: the position after the escape, both halves of a surrogate pair taken together; or -1."""
    c = data[i + 1]
    if c == 0x75:
        unit = hex_of(data, i + 2)
        if unit < 0 or 0xDC00 <= unit <= 0xDFFF:
            return -1
        if unit < 0xD800 or unit > 0xDBFF:
            return i + 6
        if data[i + 6] != BACKSLASH or data[i + 7] != 0x75:
            return -1
        low = hex_of(data, i + 8)
        return i + 12 if 0xDC00 <= low <= 0xDFFF else -1
    known = c in (QUOTE, BACKSLASH) or c == 47 or short_escape(c) != c
    return i + 2 if known else -1


@compiled
def short_escape(c: int) -> int:
    """What b, f, n, r, t stand for after a backslash; any other byte for itself."""
    if c == 0x62:
        return 0x08
    if c == 0x66:
        return 0x0C
    if c == 0x6E:
        return 0x0A
    if c == 0x72:
        return 0x0D
    return 0x09 if c == 0x74 else as_integer(c)


@compiled
def walk_string(data: Bytes, i: int) -> tuple[int, bool]:
    """From after the opening quote: (the position of the closing one or -1, whether there are escapes).

    Of a string that breaks off: `~i` of the line feed, or of another control character.
    """
    escaped = False
    while i >= 0:
        i = skip_plain(data, i, QUOTE, BACKSLASH)
        c = data[i]
        if c == QUOTE:
            return i, escaped
        if c == BACKSLASH:
            escaped = True
            i = after_escape(data, i)
        elif c >= 0x80:
            while i >= 0 and data[i] >= 0x80:
                i = after_character(data, i)
        else:
            return ~i, escaped
    return -1, escaped


@compiled
def put_character(side: Bytes, at: int, code: int) -> int:
    """Writes one character as UTF-8; the position after it."""
    if code < 0x80:
        side[at] = code
        return at + 1
    if code < 0x800:
        side[at] = 0xC0 | code >> 6
    elif code < 0x10000:
        side[at] = 0xE0 | code >> 12
    else:
        side[at] = 0xF0 | code >> 18
        at += 1
        side[at] = 0x80 | code >> 12 & 0x3F
    if code >= 0x800:
        at += 1
        side[at] = 0x80 | code >> 6 & 0x3F
    side[at + 1] = 0x80 | code & 0x3F
    return at + 2


@compiled
def unescape(data: Bytes, i: int, end: int, side: Bytes, at: int) -> int:
    """Writes the text of a string that was walked to `side`, where as many bytes are free; the position after it."""
    while i < end:
        plain = i
        while plain < end and data[plain] != BACKSLASH:
            plain += 1
        copy_bytes(side, at, data, i, plain - i)
        at += plain - i
        i = plain
        if i < end:
            if data[i + 1] == 0x75:
                code = hex_of(data, i + 2)
                i += 6
                if 0xD800 <= code <= 0xDBFF:
                    code = 0x10000 + ((code - 0xD800) << 10) + hex_of(data, i + 2) - 0xDC00
                    i += 6
                at = put_character(side, at, code)
            else:
                side[at] = short_escape(data[i + 1])
                at += 1
                i += 2
    return at
