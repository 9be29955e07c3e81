"""What people say of candidates, sent by a form: the one thing that pages write, by a connection of its own."""

import hmac
from urllib.parse import parse_qs, urlsplit

from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from schema import database
from schema.queries import judging
from schema.skies import Source
from schema.verdicts import AUTHOR_LENGTH, VERDICTS
from services.own_site import require_observation
from services.web.answers import NotThereError, RefusedError, WrongQuestionError
from services.web.guard import shown_user
from services.web.served import Served, served
from services.whole_numbers import whole_number

PATH = "/verdicts"
NOTE_LENGTH = 500  # characters
LARGEST_FORM = 8_000  # bytes
BACK = {"list": "/observation/{observation}/candidates#star-{star}", "star": "/star/{star}"}


async def give(request: Request) -> Response:
    """Write a verdict down, and go back to where it was given."""
    here = served(request)
    if here.reviewing is None:
        raise NotThereError("no verdicts are taken here: see --review of `tianyu serve`")
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > LARGEST_FORM:
            raise WrongQuestionError(f"the form has more than {LARGEST_FORM} bytes")
    form = {name: values[-1] for name, values in parse_qs(body.decode(errors="replace")).items()}
    _require_own_page(request, here, form.get("key", ""))
    observation, star = _number(form, "observation"), _number(form, "star")
    verdict, note = form.get("verdict", ""), " ".join(form.get("note", "").split())
    if verdict not in VERDICTS:
        raise WrongQuestionError(f"the verdict is {verdict[:30]!r}: expected one of {', '.join(VERDICTS)}")
    if len(note) > NOTE_LENGTH:
        raise WrongQuestionError(f"the note has {len(note)} characters: expected at most {NOTE_LENGTH}")
    author = shown_user(request.headers, is_behind_proxy=request.app.state.rules.is_behind_proxy)[:AUTHOR_LENGTH]

    def write(session: Session) -> None:
        require_observation(session, observation)
        if session.get(Source, star) is None:
            raise NotThereError(f"there is no star {star}")
        judging.give(session, observation, star, verdict, note or None, author or None)

    await run_in_threadpool(database.transact, here.reviewing, write)
    back = BACK["star" if form.get("back") == "star" else "list"]
    return RedirectResponse(back.format(observation=observation, star=star), status_code=303)


def _require_own_page(request: Request, here: Served, key: str) -> None:
    """Refuse what a page of somebody else had the browser send."""
    origin = request.headers.get("origin")
    is_elsewhere = origin is not None and urlsplit(origin).netloc != request.headers.get("host")
    if is_elsewhere or not hmac.compare_digest(key.encode(), here.form_key.encode()):
        raise RefusedError("this form is not of a page of this service as it runs now: load the page again")


def _number(form: dict[str, str], name: str) -> int:
    text = form.get(name, "")
    number = whole_number(text)
    if number is None:
        raise WrongQuestionError(f"{name} is {text[:30]!r}: expected its number")
    return number


ROUTES = (Route(PATH, give, methods=["POST"]),)
