"""Who asks, and what they may touch. Every JSON route starts here; nothing is looked up for an unknown caller."""

from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import APIKeyHeader

from assay.db import datasets, tokens
from assay.db.datasets import Dataset
from assay.db.tokens import Role, Token
from assay.errors import Denied, ErrorCode, NotFound
from assay.ids import parse_id
from assay.operations import require_dataset
from assay.web.services import Services, WithServices

_header = APIKeyHeader(
    name="Authorization",
    scheme_name="token",
    description="`Token <your token>`: the word, a space, and the token's text.",
    auto_error=False,
)


def caller_of(request: Request, services: Services) -> Token:
    """The token that the request shows; looked up, and counted, once a request."""
    known: Token | None = getattr(request.state, "caller", None)
    if known is not None:
        return known
    scheme, _, text = request.headers.get("authorization", "").strip().partition(" ")
    if scheme.lower() != "token" or not text.strip():
        message = "Send the header 'Authorization: Token <your token>'."
        raise Denied(message, code=ErrorCode.NOT_AUTHENTICATED)
    with services.db.read() as tx:
        token = tokens.find_token(tx, text.strip())
    if token is None:
        message = "The token is unknown, revoked or expired. Ask whoever runs the service for another."
        raise Denied(message, code=ErrorCode.NOT_AUTHENTICATED)
    request.state.token_id = str(token.id)  # for the log
    request.app.state.rate_limiter.count(str(token.id))
    request.state.caller = token
    return token


def _caller(request: Request, services: WithServices, _: Annotated[str | None, Depends(_header)]) -> Token:
    return caller_of(request, services)


Reader = Annotated[Token, Depends(_caller)]


def _writer(token: Reader) -> Token:
    if token.role is not Role.WRITER:
        message = "This token may only read; the request needs a token of the role 'writer'."
        raise Denied(message, code=ErrorCode.READ_ONLY_TOKEN)
    return token


Writer = Annotated[Token, Depends(_writer)]


def check_workspace(token: Token, workspace_id: str | None) -> None:
    """`Denied` for any workspace but the token's own, whether the other one exists or not. None stands for its own."""
    if workspace_id not in (None, token.workspace_id):
        message = f"This token belongs to the workspace '{token.workspace_id}'; use that, or another token."
        raise Denied(message, code=ErrorCode.FOREIGN_WORKSPACE)


def dataset_for(services: Services, token: Token, dataset_id: str) -> Dataset:
    """The dataset that a path names, if it is there and the token's workspace owns it."""
    identifier = parse_id(dataset_id)
    if identifier is None:
        raise NotFound("There is no such dataset: its id is no UUID.", code=ErrorCode.UNKNOWN_DATASET)
    with services.db.read() as tx:
        dataset = require_dataset(datasets.get_dataset(tx, identifier))
    if dataset.workspace_id != token.workspace_id:
        message = "The dataset belongs to another workspace than this token."
        raise Denied(message, code=ErrorCode.FOREIGN_WORKSPACE)
    return dataset
