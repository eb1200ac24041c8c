"""Compiled code finds the ends of records where the framing module does."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.kernel import fast_framing, framing

tokens = st.sampled_from(
    [b'"', b'""', b",", b"\n", b"\r\n", b"a", b"b" * 63, b"c" * 64, "é".encode(), b"\x00", b"*", b"\x02", b'","']
)
files = st.lists(tokens, max_size=60).map(b"".join)


@settings(max_examples=600, deadline=None)
@given(files, st.integers(1, 70))
@pytest.mark.parametrize("find", ["jsonl_ends", "csv_ends"])
def test_ends_are_the_same_from_any_record_on(find, data, most):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(framing, "FAST_FRAMING", "nowhere")
        patch.setattr(fast_framing, "BATCH_ENDS", 3)
        start = 0
        while True:
            ends = getattr(framing, find)(data, start, most).tolist()
            assert getattr(fast_framing, find)(data, start, most).tolist() == ends
            if not ends:
                break
            start = ends[-1]
