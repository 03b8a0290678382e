"""The first page is compiled ahead: whoever comes first waits for no template."""

from __future__ import annotations

import pytest
from jinja2 import Environment

from storage.opening import Storage
from tests.builders import a_backup
from tests.webapp.seeding import keep, register
from webapp import create_app, warming


def test_after_warming_no_part_of_the_overview_is_compiled_any_more(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(storage, "shop")
    keep(storage, a_backup("shop"))
    app = create_app(storage)
    warming.warm(app)
    compiled = list[str]()
    compile_ = Environment.compile

    def noted(self: Environment, source: object, name: str | None = None, *more: object, **how: object) -> object:
        compiled.append(name or "")
        return compile_(self, source, name, *more, **how)  # type: ignore[call-overload]

    monkeypatch.setattr(Environment, "compile", noted)
    bearer = {"Authorization": f"Bearer {storage.accounts.create_token('ana')}", "Accept": "text/html"}
    assert "Overview" in app.test_client().get("/", headers=bearer).text
    assert compiled == []


def test_a_template_that_cannot_be_compiled_is_told_in_the_log_alone(
    storage: Storage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    app = create_app(storage)

    def fault(_name: str) -> None:
        raise RuntimeError("no template")

    monkeypatch.setattr(app.jinja_env, "get_template", fault)
    warming.warm(app)
    assert "the first page could not be compiled ahead" in caplog.text
