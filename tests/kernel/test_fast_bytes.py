"""Compiled code that looks at sixty-four bytes at once finds what a look at one after another does, at any offset."""

import re

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from assay.kernel import fast_bytes
from assay.kernel.fast_compile import compiled

HOST = re.compile(rb"[A-Za-z0-9._-]*")
URL = re.compile(rb'[^\x00-\x20<>"\\\x7f\xc2\xe1\xe2\xe3]*', re.DOTALL)
BYTES = st.integers(0, 255).map(lambda byte: bytes([byte]))
PIECES = (
    st.sampled_from([b"a" * 63, b"Z" * 64, b"0.9-_" * 13, b"/?#%~" * 20, "é".encode(), b"\xe1", b"/", b":"]) | BYTES
)
TEXTS = st.lists(PIECES, min_size=1, max_size=8).map(b"".join)


@compiled
def skipped_host(data, i, end):
    return fast_bytes.skip_host(data, i, end)


@compiled
def skipped_url(data, i, end):
    return fast_bytes.skip_url(data, i, end)


@compiled
def same(left, left_start, right, right_start, length):
    return fast_bytes.same_bytes(left, left_start, right, right_start, length)


def as_array(data):
    return np.frombuffer(data, np.uint8)


@settings(max_examples=1500, deadline=None)
@given(TEXTS, st.data())
@example(bytes(range(256)), None)
def test_a_run_ends_at_the_first_byte_that_is_no_part_of_a_host_or_url(text, data):
    for start in range(len(text)) if data is None else [data.draw(st.integers(0, len(text)))]:
        end = len(text) if data is None else data.draw(st.integers(start, len(text)))
        for skip, pattern in ((skipped_host, HOST), (skipped_url, URL)):
            assert skip(as_array(text), start, end) == pattern.match(text, start, end).end()


@settings(max_examples=1500, deadline=None)
@given(TEXTS, TEXTS, TEXTS, st.data())
def test_texts_are_the_same_if_all_their_bytes_are(text, before, after, data):
    """Also where the other one goes on differently, or differs in one byte, or ends with the array."""
    start = data.draw(st.integers(0, len(text)))
    length = data.draw(st.integers(0, len(text) - start))
    other = bytearray(before + text[start : start + length] + after[: data.draw(st.sampled_from([0, len(after)]))])
    if length and data.draw(st.booleans()):
        other[len(before) + data.draw(st.integers(0, length - 1))] ^= 1 << data.draw(st.integers(0, 7))
    is_same = other[len(before) : len(before) + length] == text[start : start + length]
    assert same(as_array(text), start, as_array(bytes(other)), len(before), length) == is_same
