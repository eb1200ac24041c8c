"""Where an object store tells of new uploads. A faster path, never needed: polls and the sweep see them too."""

import hmac
from urllib.parse import unquote_plus

from fastapi import APIRouter
from starlette.requests import Request

from assay.errors import Denied, ErrorCode, NotFound
from assay.noticing import notice_keys
from assay.storage.base import split_url
from assay.web.errors import responses
from assay.web.services import WithServices, services_of
from assay.web.strict_json import StrictJsonRoute
from assay.wire import NoticedBody, StorageEventBody


class StorageHookRoute(StrictJsonRoute):
    """Asks for the secret, where the others ask for a token."""

    def admit(self, request: Request) -> None:
        secret = services_of(request).settings.storage_hook_secret
        if not secret:
            raise NotFound("The storage hook is off here: no secret is set for it.", code=ErrorCode.UNKNOWN_ROUTE)
        given = request.headers.get("authorization", "")
        if not hmac.compare_digest(given.encode(errors="replace"), f"Bearer {secret}".encode()):
            message = (
                "Send the header 'Authorization: Bearer <secret>' with the secret that the service was set up with."
            )
            raise Denied(message, code=ErrorCode.NOT_AUTHENTICATED)


router = APIRouter(route_class=StorageHookRoute)


@router.post(
    "/hooks/storage",
    operation_id="storage-hook",
    summary="Tell of new objects in the store",
    tags=["operation"],
    response_model=NoticedBody,
    responses=responses(400, 401, 404),
)
def hear_of_objects(event: StorageEventBody, services: WithServices) -> NoticedBody:
    """Takes S3 event notifications, and believes nothing they say: each makes the service look for itself.

    Off until `ASSAY_STORAGE_HOOK_SECRET` is set; then the store sends it as `Authorization: Bearer <secret>`.
    """
    place = split_url(services.settings.resolved_storage_url())
    prefix = place.path.strip("/") + "/" if place.path.strip("/") else ""
    keys = {
        key.removeprefix(prefix)
        for record in event.records
        if record.s3.bucket.name == place.netloc and (key := unquote_plus(record.s3.object.key)).startswith(prefix)
    }
    noticed = notice_keys(services.db, services.storage, keys, max_bytes=services.settings.max_upload_bytes)
    if noticed:
        services.wake_worker()
    return NoticedBody(noticed=noticed)
