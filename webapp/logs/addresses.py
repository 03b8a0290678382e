"""Addresses of a usage log, with the filter in them: what is shown can be sent to somebody."""

from __future__ import annotations

from urllib.parse import urlencode

from flask import url_for

from storage.logs.filters import UsageFilter
from storage.logs.query import After
from webapp.logs.blueprint import bp


@bp.app_template_global("log_address")
def address(name: str, wanted: UsageFilter, after: After | None = None, *, view: str = "show", **more: object) -> str:
    """The page of these rows, or another view of them. (A filter is called as an argument of url_for: endpoint.)"""
    query = {**more, **wanted.to_query(), **({"after": after.to_text()} if after else {})}
    return url_for(f"logs.{view}", name=name) + ("?" + urlencode(query, safe=":/") if query else "")
