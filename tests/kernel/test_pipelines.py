"""How work gets to the processes of a pool, and how its results come back."""

import sys

import pytest

from assay.kernel.pipelines import process_pool

fcntl = pytest.importorskip("fcntl")

BYTES_OF_IDS = 400_000  # of a chunk of usual records


def nothing():
    pass


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the size of a pipe can be set on Linux only")
def test_the_result_of_a_chunk_fits_into_the_pipe_so_that_its_process_can_begin_the_next():
    with process_pool(1, nothing) as pool:
        pipes = [queue._writer.fileno() for queue in (pool._call_queue, pool._result_queue)]
        assert min(fcntl.fcntl(pipe, fcntl.F_GETPIPE_SZ) for pipe in pipes) > BYTES_OF_IDS
