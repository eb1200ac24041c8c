"""Signing in with a token, and out again."""

from datetime import timedelta

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from assay.signing_in import end_session, token_by_text
from assay.web.console.errors import SIGN_IN_PATH
from assay.web.console.pages import render
from assay.web.console.sessions import (
    COOKIE,
    SESSION_SECONDS,
    Form,
    session_of,
    sessions_of,
    set_cookie,
    text_of,
)
from assay.web.services import WithServices

router = APIRouter(include_in_schema=False)


@router.get(SIGN_IN_PATH)
def get_sign_in(request: Request, next: str = "/") -> Response:
    return _sign_in_page(request, next=next)


@router.post(SIGN_IN_PATH)
def post_sign_in(request: Request, services: WithServices, form: Form) -> Response:
    """The token's text is looked up and forgotten; the cookie names the token by its id."""
    token = token_by_text(services.db, text_of(form, "token").strip())
    target = text_of(form, "next")
    if token is None:
        fault = "No valid token has this text. It may be mistyped, revoked or expired."
        return _sign_in_page(request, next=target, fault=fault, status=403)
    request.state.token_id = str(token.id)
    _, cookie = sessions_of(request).issue(str(token.id))
    response = RedirectResponse(safe_target(target), status_code=303)
    set_cookie(response, request, cookie)
    return response


@router.post("/sign-out")
def post_sign_out(request: Request, services: WithServices, form: Form) -> Response:
    """Ends the session, also for whoever has a copy of its cookie."""
    session = session_of(request)
    if session is not None:
        end_session(services.db, session.nonce, valid_for=timedelta(seconds=SESSION_SECONDS))
    response = RedirectResponse(SIGN_IN_PATH, status_code=303)
    response.delete_cookie(COOKIE)
    return response


def safe_target(target: str) -> str:
    """Where to go after the sign-in: a path of ours, whatever the address says."""
    is_ours = target.startswith("/") and not target.startswith(("//", "/\\")) and target.isprintable()
    return target if is_ours else "/"


def _sign_in_page(request: Request, *, next: str, fault: str | None = None, status: int = 200) -> Response:
    session = session_of(request)
    cookie = None
    if session is None:
        session, cookie = sessions_of(request).issue("")
    form_token = sessions_of(request).form_token(session)
    page = render("sign_in.html", None, status=status, form_token=form_token, next=next, fault=fault)
    if cookie is not None:
        set_cookie(page, request, cookie)
    return page
