"""Hashes of many records at once: xxhash's own function, called by address from compiled code, with no object a record.

Where the package doesn't export the function, or the platform hands a pair of numbers back in another way than in two
registers, nothing is lost but time: the hashes are made one by one.
"""

import ctypes
import os
import platform
from functools import cache
from typing import Any

import numpy as np
import xxhash._xxhash  # type: ignore[import-not-found]  # the compiled part of the package
from llvmlite import ir  # type: ignore[import-untyped]  # it has no types
from numba import types
from numba.extending import intrinsic

from assay.kernel import identity
from assay.kernel.fast_blocks import data_pointer
from assay.kernel.fast_bytes import Bytes
from assay.kernel.fast_compile import compiled
from assay.kernel.fast_spans import Numbers, Words

_PAIRS_IN_REGISTERS = ("x86_64", "amd64", "aarch64", "arm64")


@cache
def address_of_hash() -> int:
    """Where `XXH128_hash_t XXH3_128bits(const void *input, size_t length)` stands here; 0 if it can't be used."""
    if os.name != "posix" or platform.machine().lower() not in _PAIRS_IN_REGISTERS:
        return 0
    try:
        function = ctypes.CDLL(xxhash._xxhash.__file__).XXH3_128bits
    except (OSError, AttributeError):
        return 0
    return ctypes.cast(function, ctypes.c_void_p).value or 0


def _typed_hash(typing_context: Any, address: Any, array: Any, start: Any, length: Any) -> Any:
    word = ir.IntType(64)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = data_pointer(context, builder, signature.args[1], arguments[1], arguments[2])
        kind = ir.FunctionType(ir.LiteralStructType([word, word]), [ir.IntType(8).as_pointer(), word])
        pair = builder.call(builder.inttoptr(arguments[0], kind.as_pointer()), [pointer, arguments[3]])
        halves = [builder.extract_value(pair, half) for half in range(2)]
        return context.make_tuple(builder, signature.return_type, halves)

    pair_of_words: Any = types.UniTuple  # no types
    return pair_of_words(types.uint64, 2)(types.int64, array, types.int64, types.int64), generate


_hash: Any = intrinsic(_typed_hash)


@compiled
def hash_spans(address: int, data: Bytes, starts: Numbers, stops: Numbers, hashes: Words) -> None:
    """Fills [row, half] with each span's hash, its higher half first."""
    for row in range(starts.size):
        if 0 <= starts[row] <= stops[row] <= data.size:
            hashes[row, 1], hashes[row, 0] = _hash(address, data, starts[row], stops[row] - starts[row])


def content_hashes(data: bytes, starts: Numbers, stops: Numbers) -> Bytes:
    """As `identity.content_hashes`: 16 bytes a span, big-endian as xxhash writes a digest."""
    if not address_of_hash():
        return identity.content_hashes(data, starts, stops)
    hashes = np.zeros((len(starts), 2), np.uint64)
    hash_spans(address_of_hash(), np.frombuffer(data, np.uint8), starts, stops, hashes)
    return hashes.astype(">u8").view(np.uint8)
