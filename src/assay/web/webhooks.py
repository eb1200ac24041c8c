"""The routes by which a workspace says where it wants to be told of jobs that ended, and sees what it was told."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query

from assay.db import webhooks
from assay.db.tokens import Token
from assay.db.webhooks import Delivery, Endpoint
from assay.errors import Denied, ErrorCode, NotFound
from assay.ids import parse_id
from assay.web.auth import Reader, Writer, check_workspace
from assay.web.errors import responses
from assay.web.parameters import BASE_PATH, Cursor, Limit, id_of_cursor, page_of
from assay.web.services import Services, WithServices
from assay.web.strict_json import StrictJsonRoute
from assay.webhooks import create_endpoint, delete_endpoint, get_endpoint
from assay.wire import NewWebhookBody, NewWebhookSecretBody, Page, WebhookBody, WebhookDeliveryBody

router = APIRouter(prefix=BASE_PATH, route_class=StrictJsonRoute)

WebhookId = Annotated[str, Path(description="The webhook's id.", json_schema_extra={"format": "uuid"})]


@router.post(
    "/webhooks",
    operation_id="create-webhook",
    summary="Create a webhook",
    tags=["webhooks"],
    status_code=201,
    responses=responses(400, 401, 403, 409, 413, 415),
)
def post_webhook(body: NewWebhookBody, services: WithServices, token: Writer) -> NewWebhookSecretBody:
    """The workspace's jobs are told of at this URL when they end, from now on. The secret is shown this once."""
    check_workspace(token, body.workspace_id)
    endpoint, secret = create_endpoint(
        services.db,
        token.workspace_id,
        url=body.url,
        created_by=token.name,
        private_networks=services.settings.webhook_private_networks,
    )
    return NewWebhookSecretBody(**_values(endpoint), secret=secret)


@router.get(
    "/webhooks",
    operation_id="list-webhooks",
    summary="List webhooks",
    tags=["webhooks"],
    responses=responses(400, 401, 403),
)
def get_webhooks(
    services: WithServices,
    token: Reader,
    workspace_id: Annotated[str | None, Query(description="The token's own workspace.", max_length=64)] = None,
) -> Page[WebhookBody]:
    """The workspace's webhooks, newest first, all on one page."""
    check_workspace(token, workspace_id)
    with services.db.read() as tx:
        endpoints = webhooks.list_endpoints(tx, token.workspace_id)
    return Page(results=[WebhookBody(**_values(endpoint)) for endpoint in endpoints], next_cursor=None)


@router.delete(
    "/webhooks/{webhook_id}",
    operation_id="delete-webhook",
    summary="Delete a webhook",
    tags=["webhooks"],
    status_code=204,
    responses=responses(401, 403, 404),
)
def delete_webhook(webhook_id: WebhookId, services: WithServices, token: Writer) -> None:
    """Nothing is sent to it any more, what was to be sent again included."""
    delete_endpoint(services.db, _endpoint_for(services, token, webhook_id).id)


@router.get(
    "/webhooks/{webhook_id}/deliveries",
    operation_id="list-webhook-deliveries",
    summary="List a webhook's deliveries",
    tags=["webhooks"],
    responses=responses(400, 401, 403, 404),
)
def get_deliveries(
    webhook_id: WebhookId, services: WithServices, token: Reader, limit: Limit = 100, cursor: Cursor = None
) -> Page[WebhookDeliveryBody]:
    """What was sent or is to be sent, newest first: how often it was tried and how that went."""
    endpoint = _endpoint_for(services, token, webhook_id)
    with services.db.read() as tx:
        found = webhooks.list_deliveries(tx, endpoint.id, limit=limit + 1, before=id_of_cursor(cursor))
    return page_of(found, _delivery_body, limit=limit)


def _endpoint_for(services: Services, token: Token, webhook_id: str) -> Endpoint:
    """The webhook that a path names, if it is there and the token's workspace owns it."""
    identifier = parse_id(webhook_id)
    if identifier is None:
        raise NotFound("There is no such webhook: its id is no UUID.", code=ErrorCode.UNKNOWN_WEBHOOK)
    endpoint = get_endpoint(services.db, identifier)
    if endpoint.workspace_id != token.workspace_id:
        message = "The webhook belongs to another workspace than this token."
        raise Denied(message, code=ErrorCode.FOREIGN_WORKSPACE)
    return endpoint


def _values(endpoint: Endpoint) -> dict[str, Any]:
    return vars(endpoint)


def _delivery_body(delivery: Delivery) -> WebhookDeliveryBody:
    return WebhookDeliveryBody(**{**vars(delivery), "state": delivery.state.value})
