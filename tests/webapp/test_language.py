"""English and Chinese: how a language is chosen, that nothing is left untranslated, how things are written in each."""

from __future__ import annotations

import re
import string
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.pofile import read_po
from flask import Flask

from storage.backups.record import BackupState
from storage.errors import say
from storage.jobs.model import JobKind, JobState
from storage.opening import Storage
from tests.builders import a_backup, a_job, a_refusal
from tests.conftest import StandingClock
from tests.webapp.conftest import Browser
from tests.webapp.seeding import keep, keep_job
from webapp import formats
from webapp.language import translated

ROOT = Path(__file__).resolve().parents[2]
CATALOGUE = ROOT / "webapp/translations/zh_Hans/LC_MESSAGES/messages.po"
FOLDERS = ("storage", "webapp", "templates")
CHINESE = {"Accept-Language": "zh-CN,zh;q=0.9,en;q=0.5"}


def _catalogue(path: Path) -> Catalog:
    with path.open("rb") as file:
        return read_po(file, locale="zh_Hans")


@pytest.fixture(scope="module")
def chinese() -> Catalog:
    return _catalogue(CATALOGUE)


@pytest.fixture(scope="module")
def extracted(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    """What `make translations` collects from the code as it is now."""
    pot = tmp_path_factory.mktemp("catalogue") / "messages.pot"
    command = [
        "extract",
        "--mapping=babel.cfg",
        "--keyword=say:1",
        "--keyword=say_count:1,2",
        "--no-location",
        "--sort-output",
    ]
    subprocess.run(
        [sys.executable, "-m", "babel.messages.frontend", "-q", *command, f"--output={pot}", *FOLDERS],
        cwd=ROOT,
        check=True,
    )
    return _catalogue(pot)


def _ids(catalogue: Catalog) -> set[str | tuple[str, ...]]:
    return {tuple(one.id) if isinstance(one.id, list | tuple) else one.id for one in catalogue if one.id}


def _translations(one: Message) -> list[str]:
    return [one.string] if isinstance(one.string, str) else list(one.string)


def test_the_catalogue_has_the_sentences_of_the_code_and_no_others(chinese: Catalog, extracted: Catalog) -> None:
    assert sorted(map(str, _ids(extracted) - _ids(chinese))) == [], "run: make translations"
    assert sorted(map(str, _ids(chinese) - _ids(extracted))) == [], "run: make translations"


def test_every_sentence_is_translated_and_none_is_a_guess(chinese: Catalog) -> None:
    assert [one.id for one in chinese if one.id and not all(_translations(one))] == []
    assert [one.id for one in chinese if one.id and one.fuzzy] == []


def test_translations_use_the_facts_of_their_sentence_and_no_others(chinese: Catalog) -> None:
    wrong = []
    for one in chinese:
        if not one.id:
            continue
        sources = [one.id] if isinstance(one.id, str) else list(one.id)
        known = set().union(*(re.findall(r"%\((\w+)\)", text) for text in sources))
        for text in _translations(one):
            used = set(re.findall(r"%\((\w+)\)", text))
            if not used <= known or (isinstance(one.id, str) and used != known):
                wrong.append((one.id, text))
            if known and re.search(r"%(?!\()", text.replace("%%", "")):
                wrong.append((one.id, text))
    assert wrong == []


def test_chinese_has_its_own_punctuation(chinese: Catalog) -> None:
    """Full-width stops and commas between Chinese words, no Latin ones."""
    han = r"[\u4e00-\u9fff]"
    wrong = [
        text
        for one in chinese
        if one.id
        for text in _translations(one)
        if re.search(rf"{han}[,;:!?.]($|\s|{han})", text)
    ]
    assert wrong == []


def test_the_glossary_is_kept(chinese: Catalog) -> None:
    glossary = {
        "Protected": "已保护",
        "Late": "已延迟",
        "Missed": "已错过",
        "Failing": "持续失败",
        "Paused": "已暂停",
        "Complete": "已完成",
        "Proven": "已验证可恢复",
        "Damaged": "已损坏",
        "Interrupted": "已中断",
        "Waiting": "排队中",
        "Back up now": "立即备份",
        "Nothing was changed.": "未做任何更改。",
    }
    said = {one.id: one.string for one in chinese if one.id in glossary}
    assert said == {english: said_so for english, said_so in glossary.items() if english in _ids(chinese)}


@pytest.mark.parametrize(
    ("accepted", "tag"),
    [
        ("", "en"),
        ("de", "en"),
        ("en-GB,zh;q=0.8", "en"),
        ("zh-CN", "zh-Hans"),
        ("zh", "zh-Hans"),
        ("zh-Hans-CN,en", "zh-Hans"),
        ("fr,zh-TW;q=0.5", "zh-Hans"),
    ],
)
def test_the_browsers_language_is_spoken(client: Browser, accepted: str, tag: str) -> None:
    assert f'<html lang="{tag}"' in client.get("/login", headers={"Accept-Language": accepted}).text


def test_a_choice_counts_more_than_the_browsers_and_stays_after_signing_in(client: Browser) -> None:
    response = client.post("/preferences", data={"language": "zh_Hans", "next": "/login"})
    assert response.location == "/login"
    assert '<html lang="zh-Hans"' in client.get("/login", headers={"Accept-Language": "en"}).text
    client.sign_in("ana")
    assert '<html lang="zh-Hans"' in client.get("/account").text
    client.post("/preferences", data={"language": "en"})
    assert '<html lang="en"' in client.get("/account", headers=CHINESE).text


def test_a_language_or_theme_that_there_is_not_changes_nothing(client: Browser) -> None:
    client.post("/preferences", data={"language": "xx", "theme": "pink"})
    assert client.get_cookie("language") is None and client.get_cookie("theme") is None
    client.set_cookie("language", "../../etc")
    client.set_cookie("theme", '"><script>')
    page = client.get("/login").text
    assert '<html lang="en">' in page


def test_the_colours_are_decided_before_the_page_is_sent(client: Browser) -> None:
    for theme in ("dark", "light"):
        client.post("/preferences", data={"theme": theme})
        assert f'data-theme="{theme}"' in client.get("/login").text
    client.post("/preferences", data={"theme": "system"})
    assert "data-theme" not in client.get("/login").text


def test_a_page_in_chinese_has_no_english_sentence(admin: Browser) -> None:
    # What may stay: names, programs, units, addresses.
    pages = ["/", "/databases", "/databases/new", "/history", "/restores", "/jobs", "/account", "/accounts", "/system"]
    for path in [*pages, "/accounts/ben", "/no-such-page"]:
        assert _english(admin.get(path, headers=CHINESE).text) == [], path


@pytest.mark.parametrize("state", list(BackupState))
def test_a_backup_in_chinese_has_no_english_sentence(
    admin: Browser, storage: Storage, clock: StandingClock, state: BackupState
) -> None:
    hub = storage.databases.all()[0].name
    record = keep(storage, a_backup(hub, at=clock() - timedelta(hours=1), state=state))
    for path in (f"/backups/{record.backup_id}", "/", "/history", "/restores", f"/databases/{hub}", "/databases"):
        assert _english(admin.get(path, headers=CHINESE).text) == [], path


@pytest.mark.parametrize("state", list(JobState))
@pytest.mark.parametrize("kind", list(JobKind))
def test_a_job_in_chinese_has_no_english_sentence(
    admin: Browser, storage: Storage, clock: StandingClock, kind: JobKind, state: JobState
) -> None:
    job = keep_job(
        storage, a_job(kind, database="hub", at=clock() - timedelta(hours=1), state=state), "a line of a log"
    )
    for path in (f"/jobs/{job.job_id}", "/jobs", "/", f"/jobs/{job.job_id}/cancel"):
        assert _english(admin.get(path, headers=CHINESE).text) == [], path


def _english(page: str) -> list[str]:
    """Three English words in a row and more, outside of what programs said, names and code."""
    left_out = r"<(script|code|bdi|svg|dd)\b.*?</\1>|<span (?:class=\"mono\"|lang=\"en\").*?</span>"
    body = re.sub(left_out, " ", page, flags=re.DOTALL)
    text = re.sub(r"<[^>]+>", " ", body.partition("<body")[2].partition(">")[2])
    invented = a_refusal()
    for known in (
        "postgresql://user:password@host:5432/database",
        "pghaven tools install",
        str(invented.cause),
        str(invented.advice),
    ):
        text = text.replace(known, "")
    return re.findall(r"(?:\b[A-Za-z]+[ ,]+){2,}[A-Za-z]+", text)


def test_nothing_stands_between_two_sentences_in_chinese(
    admin: Browser, storage: Storage, clock: StandingClock
) -> None:
    keep(storage, a_backup("shop", at=clock(), state=BackupState.MISSING))
    [missing] = storage.backups.catalog.find(database="shop")
    pages = [admin.get(f"/restores/new?backup={missing.backup_id}", headers=CHINESE).text]
    wrong = {"name": "", "host": "a,b", "port": "x", "user": "u", "dbname": "d", "log_tables": "x"}
    for path in ("/databases", "/databases/new/test"):
        pages.append(admin.post(path, data=wrong, headers=CHINESE).text)
    for page in pages:
        text = re.sub(r"</?(?:strong|a|span|b|bdi)\b[^>]*>", "", page)
        assert re.findall(r"[。？！]\s+[^\s<]{2,8}", text) == []


def test_a_word_that_counts_stands_with_its_number(admin: Browser, storage: Storage) -> None:
    hub = storage.databases.all()[0].name
    keep_job(storage, a_job(database=hub, at=storage.clock()))
    page = admin.get("/", headers=CHINESE).text
    assert re.search(r'aria-label="11月22日周日：进行中"', page)
    assert "1 个进行中" in page
    assert "已结束的任务" in admin.get("/jobs", headers=CHINESE).text


def test_the_same_thing_has_one_word_in_chinese(chinese: Catalog) -> None:
    """恢复 and not 还原, 目录 and not 文件夹, 个表 and not 张表. (导出 is the seeds' word for an export.)"""
    other = re.compile("还原|文件夹|张表|看护|旁边")
    assert [text for one in chinese if one.id for text in _translations(one) if other.search(text)] == []


def test_a_sentence_of_storage_is_said_in_the_readers_language(app: Flask) -> None:
    message = say("There is no account “%(name)s”.", name="ben")
    with app.test_request_context(headers={"Accept-Language": "zh-CN"}):
        assert "ben" in translated(message) and "no account" not in translated(message)
        assert translated(message.to_json()) == translated(message)
        assert translated(say("never seen %(x)s", x=1)) == "never seen 1"
        assert translated(None) == "" and translated(say("")) == ""


def _written(app: Flask, language: str, write: object, *values: object) -> list[str]:
    with app.test_request_context(headers={"Accept-Language": language}):
        return [str(write(value)).replace("\u00a0", " ") for value in values]  # type: ignore[operator]


def test_sizes(app: Flask) -> None:
    values = (0, 999, 1000, 184_000, 999_499, 999_500, 1_900_000, 9_949_999, 9_950_000, 1_420_000_000, 56 * 10**9)
    expected = ["0 B", "999 B", "1 kB", "184 kB", "999 kB", "1 MB", "1.9 MB", "9.9 MB", "10 MB", "1.4 GB", "56 GB"]
    assert _written(app, "en", formats.size_text, *values) == expected
    assert _written(app, "zh", formats.size_text, *values) == expected
    assert 'title="1,420,331,008 bytes"' in _written(app, "en", formats.size, 1_420_331_008)[0]


def test_durations(app: Flask) -> None:
    values = (0, 0.4, 1, 59.6, 133, 3600, 3600 * 12 + 46 * 60, 48 * 3600, 59 * 3600, 40 * 86400)
    english = [
        "under 1 s",
        "under 1 s",
        "1 s",
        "1 min",
        "2 min 13 s",
        "1 h",
        "12 h 46 min",
        "2 days",
        "2 days 11 h",
        "40 days",
    ]
    chinese = [
        "<1 秒",
        "<1 秒",
        "1 秒",
        "1 分钟",
        "2 分 13 秒",
        "1 小时",
        "12 小时 46 分",
        "2 天",
        "2 天 11 小时",
        "40 天",
    ]
    assert _written(app, "en", formats.duration, *values) == english
    assert _written(app, "zh", formats.duration, *values) == chinese


def test_ages(app: Flask) -> None:
    values = (
        timedelta(seconds=40),
        timedelta(minutes=12, seconds=50),
        timedelta(hours=7, minutes=59),
        timedelta(days=3),
    )
    assert _written(app, "en", formats.age, *values) == ["40 s", "12 min", "7 h", "3 days"]
    assert _written(app, "zh", formats.age, *values) == ["40 秒", "12 分钟", "7 小时", "3 天"]


def test_moments_are_in_the_zone_of_the_instance(app: Flask) -> None:
    moment = datetime(2026, 11, 22, 12, 14, 5, tzinfo=UTC)
    last_year = datetime(2025, 12, 31, 23, 30, tzinfo=UTC)
    assert _written(app, "en", formats.moment_text, moment, last_year) == ["Sun 22 Nov, 13:14", "Thu 1 Jan, 00:30"]
    assert _written(app, "zh", formats.moment_text, moment) == ["11月22日周日 13:14"]
    early = datetime(2025, 3, 1, 1, tzinfo=UTC)
    assert _written(app, "en", formats.moment_text, early) == ["Sat 1 Mar 2025, 02:00"]
    assert _written(app, "zh", formats.moment_text, early) == ["2025年3月1日 02:00"]
    (element,) = _written(app, "en", formats.moment, moment)
    assert 'datetime="2026-11-22T12:14:05.000Z"' in element and 'title="2026-11-22 12:14:05 UTC"' in element


def test_days(app: Flask) -> None:
    assert _written(app, "en", formats.day_text, date(2026, 11, 20)) == ["Fri 20 Nov"]
    assert _written(app, "zh", formats.day_text, date(2026, 11, 20)) == ["11月20日周五"]


def test_formatting_marks_are_well_formed(chinese: Catalog) -> None:
    for one in chinese:
        for text in _translations(one):
            assert text.count("“") == text.count("”"), text
            assert set(text) <= set(text) - set(string.whitespace) | {" ", "\n"}, text
