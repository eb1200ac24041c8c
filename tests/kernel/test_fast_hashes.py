"""The hashes that compiled code makes are those that the xxhash package makes."""

import random

import numpy as np
import pytest

from assay.kernel import fast_hashes, identity


@pytest.fixture(params=["by address", "one by one"])
def way(request, monkeypatch):
    if request.param == "one by one":
        monkeypatch.setattr(fast_hashes, "address_of_hash", lambda: 0)
    elif not fast_hashes.address_of_hash():
        pytest.skip("the xxhash package of this platform doesn't show its function")


@pytest.mark.usefixtures("way")
def test_hashes_of_every_length_are_those_of_xxhash():
    data = random.Random(1).randbytes(20_000)
    lengths = np.array([*range(1100), 4096, 9999], np.int64)
    starts = np.arange(len(lengths), dtype=np.int64)
    hashes = fast_hashes.content_hashes(data, starts, starts + lengths)
    assert np.array_equal(hashes, identity.content_hashes(data, starts, starts + lengths))


@pytest.mark.usefixtures("way")
def test_no_spans_have_no_hashes():
    nothing = np.empty(0, np.int64)
    assert fast_hashes.content_hashes(b"", nothing, nothing).shape == (0, 16)
