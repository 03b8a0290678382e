"""A pytest plugin for test machines: a run fails if tests that need PostgreSQL or a browser were skipped, or are none.

Such tests skip themselves on a developer's machine that lacks the program. On a test machine a skip would look like
success while nothing of what matters most was tested.
"""

from __future__ import annotations

import pytest

NEEDED = ("postgres", "browser")

chosen: dict[str, set[str]] = {mark: set() for mark in NEEDED}
skipped: list[str] = []


def pytest_collection_finish(session: pytest.Session) -> None:
    for item in session.items:
        for mark in NEEDED:
            if item.get_closest_marker(mark):
                chosen[mark].add(item.nodeid)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    expected_to_fail = hasattr(report, "wasxfail")
    if report.skipped and not expected_to_fail and any(report.nodeid in tests for tests in chosen.values()):
        skipped.append(report.nodeid)


def troubles() -> list[str]:
    none_at_all = [f"no test is marked {mark}" for mark, tests in chosen.items() if not tests]
    return none_at_all + [f"skipped: {nodeid}" for nodeid in skipped]


def pytest_sessionfinish(session: pytest.Session) -> None:
    if troubles() and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if troubles():
        terminalreporter.section("refused: PostgreSQL and browser tests must run here", red=True)
        for trouble in troubles():
            terminalreporter.line(trouble)
