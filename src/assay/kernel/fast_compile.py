"""How the fast pass is compiled: without the GIL, without reference counts, and kept on disk where that can be done."""

from collections.abc import Callable
from typing import Any, TypeVar

from numba import config as numba_config
from numba import njit

from assay.kernel.rehearsal import compiled_folder

Function = TypeVar("Function", bound=Callable[..., Any])

# Reference counts of arrays cost more than the work: each call of a small function would take and give back an
# atomic count. Nothing here makes or keeps an array, so numba's runtime isn't needed.
_OPTIONS = {"nogil": True, "_nrt": False}


_CONFIG: Any = numba_config  # its names are made when it is loaded


def compiled(function: Function) -> Function:
    """Compiled at its first call. The result is cached beside the source, in the user's cache, or nowhere."""
    return _compiled(function, _OPTIONS)


def inlined(function: Function) -> Function:
    """The same, and never called: its arguments are many arrays, and to pass them costs more than its work."""
    return _compiled(function, {**_OPTIONS, "forceinline": True})


def _compiled(function: Function, options: dict[str, Any]) -> Function:
    compile_it: Any = njit
    before, _CONFIG.CACHE_DIR = _CONFIG.CACHE_DIR, str(compiled_folder())
    try:
        made: Function = compile_it(cache=True, **options)(function)
    except RuntimeError:  # numba has no other way to say that no cache directory can be written
        made = compile_it(**options)(function)
    finally:
        _CONFIG.CACHE_DIR = before
    return made
