"""A visitor of the console without scripts: gets pages, finds forms in them, fills them in and sends them."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

import httpx

HTML = {"Accept": "text/html,application/xhtml+xml"}


@dataclass
class FoundForm:
    """A form as it stands in a page: where it goes, and what it has been filled with."""

    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)


class _Reader(HTMLParser):
    """Collects the forms, the text that can be read, and the elements that no page of ours may have."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[FoundForm] = []
        self.texts: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._in_textarea: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append((tag, given))
        if tag == "form":
            self.forms.append(FoundForm(given.get("action") or "", given.get("method") or "get"))
        name = given.get("name")
        if self.forms and name and tag == "input" and given.get("type") not in ("radio", "file"):
            self.forms[-1].fields[name] = given.get("value") or ""
        if self.forms and name and tag == "input" and given.get("type") == "radio" and "checked" in given:
            self.forms[-1].fields[name] = given.get("value") or ""
        self._in_textarea = name if tag == "textarea" else self._in_textarea

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            self._in_textarea = None

    def handle_data(self, data: str) -> None:
        self.texts.append(data)
        if self._in_textarea and self.forms:
            fields = self.forms[-1].fields
            fields[self._in_textarea] = fields.get(self._in_textarea, "") + data


@dataclass(frozen=True)
class Seen:
    """A page as it came."""

    answer: httpx.Response
    forms: list[FoundForm]
    text: str
    tags: list[tuple[str, dict[str, str | None]]]

    @property
    def status(self) -> int:
        return self.answer.status_code

    def form(self, action: str) -> FoundForm:
        """The form whose action ends so."""
        return next(form for form in self.forms if form.action.endswith(action))

    def links(self) -> list[str]:
        return [given["href"] or "" for tag, given in self.tags if tag == "a" and "href" in given]


def seen(answer: httpx.Response) -> Seen:
    reader = _Reader()
    if "text/html" in answer.headers.get("content-type", ""):
        reader.feed(answer.text)
    return Seen(answer=answer, forms=reader.forms, text=" ".join("".join(reader.texts).split()), tags=reader.tags)


@dataclass(frozen=True)
class Visitor:
    """Keeps cookies, as a browser does, and follows what a form's answer points to."""

    client: httpx.Client

    def get(self, path: str, **params: Any) -> Seen:
        return seen(self.client.get(path, params=params or None, headers=HTML))

    def sign_in(self, token: str, *, path: str = "/sign-in") -> Seen:
        return self.send(self.get(path).form("/sign-in"), token=token)

    def send(self, form: FoundForm, *, to: str | None = None, **fields: str) -> Seen:
        """The form with some fields changed; then the page that it leads to."""
        answer = self.client.post(to or form.action, data={**form.fields, **fields}, headers=HTML)
        return self._followed(answer)

    def send_file(self, form: FoundForm, name: str, data: bytes) -> Seen:
        answer = self.client.post(form.action, data=form.fields, files={"file": (name, data)}, headers=HTML)
        return self._followed(answer)

    def _followed(self, answer: httpx.Response) -> Seen:
        while answer.status_code in (302, 303):
            answer = self.client.get(answer.headers["location"], headers=HTML)
        return seen(answer)


def confirmation_in(page: Seen) -> str:
    """What the button says that saves a schema all the same; empty where there is none."""
    values = [given["value"] for tag, given in page.tags if tag == "button" and given.get("name") == "confirmed"]
    return values[0] or "" if values else ""
