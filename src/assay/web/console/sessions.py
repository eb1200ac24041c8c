"""Who looks at the console: a signed cookie that names a token without its text, and a form token against forgery.

The token is looked up for every request, so one that is revoked ends its sessions at once.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request
from itsdangerous import BadSignature, URLSafeTimedSerializer
from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData
from starlette.responses import Response

from assay.db.engine import Database
from assay.db.tokens import Role, Token
from assay.errors import Denied, ErrorCode, Invalid
from assay.ids import parse_id
from assay.signing_in import session_key, token_of_session
from assay.web.services import Services, WithServices

COOKIE = "assay_session"
SESSION_SECONDS = 7 * 24 * 3600
FORM_TOKEN = "form_token"


@dataclass(frozen=True)
class Session:
    """What a cookie says. `token_id` is empty before the sign-in; `nonce` is what the form token is made from."""

    token_id: str
    nonce: str


@dataclass
class Sessions:
    """Signs and reads cookies. Holds the key, which is read from the database when it is first needed."""

    db: Database = field(repr=False)

    def issue(self, token_id: str) -> tuple[Session, str]:
        """A new session, and the cookie that stands for it."""
        session = Session(token_id=token_id, nonce=secrets.token_urlsafe(16))
        return session, self._serializer.dumps([session.token_id, session.nonce])

    def read(self, cookie: str) -> Session | None:
        """None for a cookie that is none of ours, was altered, or is too old."""
        try:
            token_id, nonce = self._serializer.loads(cookie, max_age=SESSION_SECONDS)
        except (BadSignature, ValueError):
            return None
        return Session(token_id=token_id, nonce=nonce)

    def form_token(self, session: Session) -> str:
        message = f"{session.token_id}\0{session.nonce}".encode()
        return hmac.new(self._key, b"assay console form 1\0" + message, hashlib.sha256).hexdigest()

    @cached_property
    def _key(self) -> bytes:
        return session_key(self.db)

    @cached_property
    def _serializer(self) -> URLSafeTimedSerializer:
        options = {"key_derivation": "hmac", "digest_method": hashlib.sha256}
        return URLSafeTimedSerializer(self._key, salt="assay console session 1", signer_kwargs=options)


@dataclass(frozen=True)
class Visitor:
    """Somebody who has signed in. `form_token` goes into every form."""

    token: Token
    form_token: str

    @property
    def may_write(self) -> bool:
        return self.token.role is Role.WRITER


def sessions_of(request: Request) -> Sessions:
    sessions: Sessions = request.app.state.sessions
    return sessions


def session_of(request: Request) -> Session | None:
    cookie = request.cookies.get(COOKIE)
    return None if cookie is None else sessions_of(request).read(cookie)


def set_cookie(response: Response, request: Request, cookie: str) -> None:
    response.set_cookie(
        COOKIE,
        cookie,
        max_age=SESSION_SECONDS,
        httponly=True,
        samesite="lax",
        secure=is_secure(request),
    )


def is_secure(request: Request) -> bool:
    """Whether browsers reach the service by https, be it through a proxy."""
    services: Services = request.app.state.services
    return request.url.scheme == "https" or urlsplit(services.settings.base_url).scheme == "https"


def visitor_of(request: Request, services: WithServices) -> Visitor:
    session = session_of(request)
    token_id = None if session is None else parse_id(session.token_id)
    token = None
    if session is not None and token_id is not None:
        token = token_of_session(services.db, token_id, session.nonce)
    if session is None or token is None:
        raise Denied("Sign in to see this page.", code=ErrorCode.NOT_AUTHENTICATED)
    request.app.state.rate_limiter.count(str(token.id))
    request.state.token_id = str(token.id)  # for the log
    visitor = Visitor(token=token, form_token=sessions_of(request).form_token(session))
    request.state.visitor = visitor  # for an error page
    return visitor


Reading = Annotated[Visitor, Depends(visitor_of)]


def check_form_token(request: Request, given: object) -> None:
    """Refuse a form that was not made for this session: a page of somebody else may have sent it."""
    session = session_of(request)
    wanted = "" if session is None else sessions_of(request).form_token(session)
    if not wanted or not isinstance(given, str) or not hmac.compare_digest(given.encode(), wanted.encode()):
        message = "The form was too old, or not made for you. Go back, reload the page, and send it again."
        raise Denied(message, code=ErrorCode.INVALID_FORM_TOKEN)


async def read_form(request: Request) -> FormData:
    """A browser sends its forms as the page is: in UTF-8. Others would be decoded by whatever codec they name."""
    _, options = parse_options_header(request.headers.get("content-type", ""))
    if options.get(b"charset", b"utf-8").lower() != b"utf-8":
        raise Invalid("Send the form in UTF-8.", code=ErrorCode.CONTENT_TYPE_MISMATCH)
    return await request.form(max_files=0)


def _checked_form(request: Request, form: Annotated[FormData, Depends(read_form)]) -> FormData:
    check_form_token(request, form.get(FORM_TOKEN))
    return form


Form = Annotated[FormData, Depends(_checked_form)]


def check_writer(visitor: Visitor) -> None:
    if not visitor.may_write:
        message = "You are signed in with a token that may only read. Sign in with one of the role 'writer'."
        raise Denied(message, code=ErrorCode.READ_ONLY_TOKEN)


def _writing(visitor: Reading, form: Form) -> Visitor:
    check_writer(visitor)
    return visitor


Writing = Annotated[Visitor, Depends(_writing)]
"""Somebody who may change things and has sent a form of ours."""


def text_of(form: FormData, name: str) -> str:
    """A field of the form, empty if it is not there; line ends as they are everywhere but in forms."""
    value = form.get(name)
    return value.replace("\r\n", "\n") if isinstance(value, str) else ""
