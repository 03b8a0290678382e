"""A few made-up requests for a demo; many of them are for the terminal."""

from __future__ import annotations

from flask import render_template, request, url_for
from werkzeug.wrappers import Response

from storage.errors import Invalid, NotFound, StorageError, say
from storage.logs.generator.request import MOST_DAYS, MOST_SEED, GeneratorRequest
from webapp.answers import see
from webapp.audited import audited
from webapp.current import current_name, storage
from webapp.logs.blueprint import bp
from webapp.permissions import requires

MOST_ON_THE_PAGE = 10_000
USUAL = {"rows": "1000", "days": "30", "seed": "1"}


@bp.get("/databases/<name>/logs/generator")
@requires("make demo data")
def generator(name: str) -> str:
    storage().databases.get(name)
    return _page(name)


@bp.post("/databases/<name>/logs/generator")
@requires("make demo data")
def generate(name: str) -> Response | tuple[str, int]:
    storage().databases.get(name)
    try:
        wanted = GeneratorRequest(
            rows=_number("rows"), days=_number("days"), seed=_number("seed"), until=storage().clock()
        ).checked(most_rows=MOST_ON_THE_PAGE)
    except Invalid as error:
        return _page(name, refusal=error), 422
    job, new = storage().logs.generator.start(name, wanted, by=current_name())
    if new:
        audited("demo_rows_requested", name, job=job.job_id, **wanted.to_json())
    return see(url_for("jobs.show", job_id=job.job_id))


@bp.app_template_global()
def is_demo(name: str) -> bool:
    """Whether a page may offer to make rows up; no, where that cannot be asked."""
    try:
        return storage().logs.generator.is_demo(name)
    except StorageError:
        return False


def _page(name: str, *, refusal: StorageError | None = None) -> str:
    demo, never = False, None
    try:
        demo = storage().logs.generator.is_demo(name)
    except NotFound as error:
        never = error
    return render_template(
        "logs/generator.html",
        name=name,
        demo=demo,
        never=never,
        given=request.form or USUAL,
        refusal=refusal,
        most={"rows": MOST_ON_THE_PAGE, "days": MOST_DAYS, "seed": MOST_SEED},
    )


def _number(name: str) -> int:
    text = request.form.get(name, "").strip()
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise Invalid(say("“%(text)s” is not a whole number.", text=text[:40]), effect=say("No rows were made."))
    return int(text)
