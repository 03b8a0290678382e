"""Routes of the overview, and of its three parts that ask again."""

from __future__ import annotations

from flask import Blueprint, Response, make_response, render_template, request

from webapp.board import Board, read_board
from webapp.current import storage
from webapp.permissions import requires
from webapp.unchanged import stamp_of
from webapp.visible_jobs import visible

bp = Blueprint("overview", __name__)


@bp.get("/")
@requires("see backups")
def show() -> str:
    untold = not storage().alerts.book().targets
    return render_template("overview/show.html", board=read_board(storage()), untold=untold)


@bp.get("/overview/sentence")
@requires("see backups")
def sentence() -> Response:
    """The sentence, with what needs a person and what runs beside it."""
    return _again("overview/_sentence_and_more.html", read_board(storage()))


@bp.get("/overview/board")
@requires("see backups")
def board() -> Response:
    return _again("overview/_board.html", read_board(storage()))


@bp.get("/overview/running")
@requires("see backups")
def running() -> Response:
    """What runs now. When one has ended or begun, the page's other parts are told to look again."""
    jobs = visible(storage().jobs.active())
    answer = make_response(render_template("overview/_running_again.html", running=jobs))
    if stamp_of(jobs) != request.args.get("seen", ""):
        answer.headers["HX-Trigger"] = "job-ended"
    return answer


def _again(template: str, board: Board) -> Response:
    if request.args.get("seen") == board.stamp:
        return Response(status=204)
    return make_response(render_template(template, board=board))
