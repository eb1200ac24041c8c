"""What the processes that check chunks find in their environment; of interest to the C libraries they load."""

import os

FOR_CHILDREN = {
    # glibc asks the system for large pages: a chunk's arrays are some hundred megabytes to fault in and to walk over.
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
    # numpy's linear algebra, which nobody uses here, would start a thread for each processor.
    "OPENBLAS_NUM_THREADS": "1",
}


def prepare_environment() -> None:
    """For whatever this process starts from now on. What the user has set stays."""
    for name, value in FOR_CHILDREN.items():
        os.environ.setdefault(name, value)
