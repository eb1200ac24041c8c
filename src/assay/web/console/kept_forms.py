"""Forms whose text has taken thought: one that is refused for its form token is shown again, with what was typed."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from starlette.datastructures import FormData

from assay.errors import Denied
from assay.web.console.sessions import FORM_TOKEN, check_form_token, read_form

STALE = (
    "The form was too old, or not made for you; you may have signed in again since you opened it. "
    "Nothing is lost: what you typed stands here. Look at it, and save it once more."
)


@dataclass(frozen=True)
class Posted:
    """What was sent. Where there is a `refusal`, nothing may be done by it but to show it to whoever sent it."""

    form: FormData
    refusal: Denied | None


def _posted(request: Request, form: Annotated[FormData, Depends(read_form)]) -> Posted:
    try:
        check_form_token(request, form.get(FORM_TOKEN))
    except Denied as error:
        return Posted(form=form, refusal=error)
    return Posted(form=form, refusal=None)


KeptForm = Annotated[Posted, Depends(_posted)]
