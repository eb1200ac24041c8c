"""A CSV header's names: those that a schema nearly has, and those that something else than commas separates."""

import re
import unicodedata
from collections.abc import Iterable

from assay.rejections import quoted_key

# With what other programs separate values.
SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}
MAX_HINTS = 5

_INVISIBLE = ("Cc", "Cf")
_QUOTED_NAMES = r'(?:"[^"]*"|[^"{0}]*)(?:{0}(?:"[^"]*"|[^"{0}]*))+'


def nearly_named(names: Iterable[str], wanted: Iterable[str]) -> list[str]:
    """A sentence for each wanted name that a header has but for what is easily overlooked; of a few."""
    by_likeness = {_likeness(name): name for name in names}
    pairs = ((key, by_likeness.get(_likeness(key))) for key in wanted)
    found = [(key, name) for key, name in pairs if name is not None and name != key]
    return [
        f"It has '{quoted_key(name)}', which differs from '{quoted_key(key)}' {_difference(name, key)}."
        for key, name in found[:MAX_HINTS]
    ]


def _likeness(name: str) -> str:
    return unicodedata.normalize("NFC", _visible(name)).casefold()


def _visible(name: str) -> str:
    """Without characters that can't be seen, and with plain spaces for the others that look like one."""
    shown = "".join(letter for letter in name if unicodedata.category(letter) not in _INVISIBLE)
    return " ".join(shown.split())


def _difference(name: str, key: str) -> str:
    differences = []
    visible, visible_key = _visible(name), _visible(key)
    if (visible, visible_key) != (name, key):
        odd = next((letter for letter in name if letter not in visible), None)
        such = "" if odd is None else f", such as U+{ord(odd):04X}"
        differences.append(f"by spaces or characters that can't be seen{such}")
    composed, composed_key = (unicodedata.normalize("NFC", text) for text in (visible, visible_key))
    if (composed == visible) != (composed_key == visible_key):
        differences.append("in how its accents are written in Unicode (NFD or NFC)")
    if composed != composed_key:
        differences.append("in upper and lower case")
    return " and ".join(differences)


def separator_of(name: str) -> str | None:
    """What stands most often in the one name that a header seems to have, of that which may separate names."""
    found = max(SEPARATORS, key=name.count)
    return found if found in name else None


def separator_of_quoted(header: str) -> str | None:
    """What separates the names of a header that can't be read, since quotes stand where only commas allow them."""
    if '"' not in header:
        return None
    return next((mark for mark in SEPARATORS if re.fullmatch(_QUOTED_NAMES.format(re.escape(mark)), header)), None)
