"""Errors travel between processes: what a child raises must arrive whole, or its whole pool is taken for broken."""

import pickle

import pytest

from assay.errors import AssayError, Conflict, ErrorCode, InvalidFields, Unavailable


@pytest.mark.parametrize(
    "error",
    [
        Unavailable("The disk is full.", code=ErrorCode.STORAGE_UNAVAILABLE),
        Conflict("Somebody was faster.", code=ErrorCode.STATE_CHANGED),
        InvalidFields({"name": ["is missing"]}, code=ErrorCode.INVALID_REQUEST),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_comes_back_whole_from_another_process(error: AssayError) -> None:
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is type(error)
    assert (str(back), back.message, back.code, vars(back)) == (str(error), error.message, error.code, vars(error))
