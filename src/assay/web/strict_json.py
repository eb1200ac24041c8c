"""Request bodies as strict JSON, read for callers who may send one."""

import json
from dataclasses import dataclass
from typing import Any

from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from assay.fieldtypes import key_twice_in
from assay.web.auth import caller_of
from assay.web.services import services_of

BYTES_READ_AT_ONCE = 64 * 1024
# Each takes fifty times its bytes in memory, and no thread but its own runs while they are made.
MOST_CONTAINERS = 100_000


@dataclass(frozen=True)
class MalformedJson:
    """Stands for a body that can't be read, and fits no model: who may not call at all is told that first."""

    fault: str


class StrictJsonRequest(Request):
    """A request whose JSON is read strictly: UTF-8, no key twice in an object, no NaN, no lone surrogate."""

    async def json(self) -> Any:
        if not hasattr(self, "_json"):
            body = await self.body()
            try:
                if len(body) > BYTES_READ_AT_ONCE:  # it takes seconds, in which the others want to be served
                    self._json = await run_in_threadpool(parse_json, body)
                else:
                    self._json = parse_json(body)
            except json.JSONDecodeError as error:
                self._json = MalformedJson(error.msg)
        return self._json


class StrictJsonRoute(APIRoute):
    """A route that reads its body as strict JSON, once it is known who sends it.

    The framework takes the request's class from nowhere else, and reads a body before it asks for anything.
    """

    def admit(self, request: Request) -> None:
        """Raises what the caller is refused with."""
        caller_of(request, services_of(request))

    def get_route_handler(self):  # type: ignore[no-untyped-def]  # its type is private to the framework
        handle = super().get_route_handler()

        async def with_strict_json(request: Request):  # type: ignore[no-untyped-def]
            strict = StrictJsonRequest(request.scope, request.receive)
            if self.body_field is not None:
                await run_in_threadpool(self.admit, strict)
                await strict.body()  # here, where the framework can't take what is wrong with it for another fault
            return await handle(strict)

        return with_strict_json


def parse_json(body: bytes) -> Any:
    """Raises `json.JSONDecodeError`, which says what is wrong, for anything that two readers could read apart."""
    if body.count(b"[") + body.count(b"{") > MOST_CONTAINERS:
        raise json.JSONDecodeError(
            f"It is nested too deeply, or has more than {MOST_CONTAINERS:,} lists and objects", "", 0
        )
    try:
        text = body.decode("utf-8")
        value = json.loads(text, object_pairs_hook=_unique_keys, parse_constant=_no_constant)
        # An escape such as \\ud800 alone is no character: it can't be stored, nor sent back.
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeDecodeError as error:
        raise json.JSONDecodeError("The body is not UTF-8", "", error.start) from error
    except UnicodeEncodeError as error:
        raise json.JSONDecodeError("A string has a lone surrogate", "", 0) from error
    except RecursionError as error:
        raise json.JSONDecodeError("The body is nested too deeply", "", 0) from error
    except json.JSONDecodeError:
        raise
    except ValueError as error:  # Python reads integers of some thousand digits and no longer ones
        raise json.JSONDecodeError("A number has too many digits", "", 0) from error
    return value


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    twice = key_twice_in(pairs)
    if twice is not None:
        raise json.JSONDecodeError(f"The key {twice[:128]!r} stands twice in one object", "", 0)
    return dict(pairs)


def _no_constant(name: str) -> None:
    raise json.JSONDecodeError(f"{name} is no JSON", "", 0)
