"""/openapi.json: every API route is in it, and it is a document that tools read."""

from __future__ import annotations

import re

from flask import Flask

from tests.webapp.conftest import Browser


def test_every_api_route_is_described(app: Flask, client: Browser) -> None:
    routes = {
        (re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule), method.lower())
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/api/")
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    document = client.get("/openapi.json").json
    assert document
    assert {(path, method) for path, methods in document["paths"].items() for method in methods} == routes


def test_every_route_says_what_it_is_for(client: Browser) -> None:
    document = client.get("/openapi.json").json
    assert document
    said = [one["summary"] for methods in document["paths"].values() for one in methods.values()]
    assert len(said) >= 20
    assert [summary for summary in said if "<" in summary or len(summary) < 15] == []


def test_what_is_no_json_is_described_as_what_it_is(client: Browser) -> None:
    document = client.get("/openapi.json").json
    assert document and document["openapi"].startswith("3.")
    export = document["paths"]["/api/admin/database/export"]["get"]["responses"]
    assert set(export["200"]["content"]) == {"application/octet-stream"}
    assert {"401", "403", "409", "503"} <= set(export)
