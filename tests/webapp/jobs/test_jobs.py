"""Jobs: the page while it runs, the polling that ends with the job, cancelling, the log, the end."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from storage.errors import say
from storage.jobs.model import Job, JobKind, JobState, Progress, Step
from storage.opening import Storage
from tests.builders import a_backup, a_job
from tests.conftest import StandingClock
from tests.webapp.conftest import Browser
from tests.webapp.seeding import keep, keep_job
from webapp.jobs.milestones import milestone

HTMX = {"HX-Request": "true"}


@pytest.fixture
def job(storage: Storage, clock: StandingClock) -> Job:
    return keep_job(storage, a_job(database="hub", at=clock() - timedelta(seconds=88)), "first line", "second line")


def ended(storage: Storage, job: Job, state: JobState = JobState.COMPLETED, **changes: object) -> Job:
    return keep_job(storage, job.with_(state=state, ended_at=storage.clock(), **changes))


def text(page: str) -> str:
    return page.replace("\u00a0", " ")


def test_a_running_job_shows_its_steps_its_bar_and_its_table(admin: Browser, job: Job) -> None:
    page = text(admin.get(f"/jobs/{job.job_id}").text)
    for said in (
        "<title>43 % · Backing up hub · pghaven</title>",
        "612 MB of about 1.4 GB",
        "11 MB/s",
        "Now: table 2 of 4",
        "public.orders",
        "about 1 min 20 s left",
        'value="43"',
        "Dump the tables",
        "1 min 27 s so far",
        "second line",
        "Cancel…",
    ):
        assert said in page, said
    assert '<noscript><meta http-equiv="refresh" content="3"></noscript>' in page


def test_the_panel_asks_again_while_the_job_runs_and_not_after(admin: Browser, storage: Storage, job: Job) -> None:
    panel = admin.get(f"/jobs/{job.job_id}?said=25", headers=HTMX).text
    assert "<html" not in panel
    assert re.findall(r'hx-trigger="every (\d)s"', panel) == ["1"]
    ended(storage, job)
    for page in (
        admin.get(f"/jobs/{job.job_id}?said=25", headers=HTMX).text,
        admin.get(f"/jobs/{job.job_id}").text,
        admin.get(f"/jobs/{job.job_id}/log?after=0", headers=HTMX).text,
    ):
        assert "hx-trigger" not in page
        assert 'http-equiv="refresh"' not in page


def test_what_a_page_says_of_time_goes_on_while_it_polls(admin: Browser, job: Job, clock: StandingClock) -> None:
    clock.forward(seconds=32)
    panel = admin.get(f"/jobs/{job.job_id}?said=25", headers=HTMX)
    assert panel.headers["X-Updated"] == "14:14:37"
    assert re.search(r'id="asked" hx-swap-oob="true"><time[^>]*>2 min ago', text(panel.text))


def test_a_job_that_goes_on_is_never_at_a_hundred(admin: Browser, storage: Storage, job: Job) -> None:
    verify = Step(code="verify", title=say("Read the archive back"), started_at=storage.clock())
    progress = Progress(step="verify", done=100, total=100, seconds_left=0.2)
    storage.jobs.save(job.with_(steps=(*job.steps[:2], verify), progress=progress))
    for page in ("/", "/jobs", f"/jobs/{job.job_id}"):
        told = text(admin.get(page).text)
        assert "99 %" in told and "100 %" not in told, page
        assert "a few seconds left" not in told, page
        assert "Read the archive back" in told, page
    ended(storage, job)
    assert storage.jobs.get(job.job_id).with_(progress=progress).percent == 100


def test_a_job_that_is_not_there_is_called_a_job(admin: Browser) -> None:
    answer = admin.get("/jobs/nope")
    assert answer.status_code == 404
    assert "There is no job nope." in answer.text


def test_a_long_job_is_looked_at_less_often(admin: Browser, job: Job, clock: StandingClock) -> None:
    clock.forward(minutes=5)
    assert 'hx-trigger="every 2s"' in admin.get(f"/jobs/{job.job_id}", headers=HTMX).text


def test_a_milestone_is_said_once(admin: Browser, storage: Storage, job: Job) -> None:
    assert 'id="milestone"' in admin.get(f"/jobs/{job.job_id}?said=running", headers=HTMX).text
    assert 'id="milestone"' not in admin.get(f"/jobs/{job.job_id}?said=25", headers=HTMX).text
    ended(storage, job)
    said = admin.get(f"/jobs/{job.job_id}?said=75", headers=HTMX).text
    assert re.search(r'<p id="milestone" hx-swap-oob="innerHTML">\s*hub is backed up</p>', said)


def test_a_job_has_at_most_six_milestones(job: Job) -> None:
    said = {milestone(job.with_(progress=Progress(done=done, total=1000))) for done in range(1001)}
    said |= {milestone(job.with_(state=state)) for state in (JobState.WAITING, JobState.COMPLETED)}
    assert said == {"waiting", "running", "25", "50", "75", "completed"}


def test_the_head_is_sent_again_only_when_it_says_something_else(admin: Browser, storage: Storage, job: Job) -> None:
    same = f"/jobs/{job.job_id}?said=25&was=running&stopping=0"
    assert 'id="job-head"' not in admin.get(same, headers=HTMX).text
    ended(storage, job)
    assert 'id="job-head"' in admin.get(same, headers=HTMX).text


def test_new_lines_of_the_log_come_one_after_the_other(admin: Browser, storage: Storage, job: Job) -> None:
    page = admin.get(f"/jobs/{job.job_id}").text
    [address] = re.findall(r'hx-get="(/jobs/[^"]+/log\?after=\d+)"', page)
    assert admin.get(address, headers=HTMX).status_code == 204
    storage.jobs.append_log(job.job_id, "third <line>")
    more = admin.get(address, headers=HTMX).text
    assert "third &lt;line&gt;" in more
    assert "second line" not in more
    assert "after=3" in more


def test_the_whole_log_can_be_downloaded(admin: Browser, job: Job) -> None:
    answer = admin.get(f"/jobs/{job.job_id}/log.txt")
    assert answer.mimetype == "text/plain"
    assert [line.split(" ", 1)[1] for line in answer.text.splitlines()] == ["first line", "second line"]


def test_a_failed_job_says_effect_cause_advice_and_postgresqls_words(
    admin: Browser, storage: Storage, clock: StandingClock
) -> None:
    job = keep_job(storage, a_job(database="hub", at=clock() - timedelta(minutes=5), state=JobState.FAILED))
    page = admin.get(f"/jobs/{job.job_id}").text
    for said in (
        "The backup of hub failed",
        "Nothing was changed.",
        "PostgreSQL refused the password of pghaven.",
        "Enter the password again, and test the connection.",
        "FATAL:  password authentication failed",
        "Try again",
    ):
        assert said in page, said


def test_a_completed_take_leads_to_its_backup(admin: Browser, storage: Storage, job: Job) -> None:
    record = keep(storage, a_backup("hub", job_id=job.job_id))
    ended(storage, job, result={"backup_id": record.backup_id})
    page = admin.get(f"/jobs/{job.job_id}").text
    assert "hub is backed up" in page
    assert f'href="/backups/{record.backup_id}"' in page


def test_cancelling_asks_first_and_says_what_stays(admin: Browser, storage: Storage, job: Job) -> None:
    keep(storage, a_backup("hub"))
    page = admin.get(f"/jobs/{job.job_id}/cancel").text
    assert "The half-written file is removed." in page
    assert "The 1 good backup of hub stays" in page
    assert storage.jobs.asked_to_stop(job.job_id) is None
    answer = admin.post(f"/jobs/{job.job_id}/cancel")
    assert answer.location == f"/jobs/{job.job_id}"
    assert storage.jobs.asked_to_stop(job.job_id) == "ana"
    assert "Stopping." in admin.get(f"/jobs/{job.job_id}").text


def test_cancelling_a_job_that_has_ended_meanwhile_shows_how_it_ended(
    admin: Browser, storage: Storage, job: Job
) -> None:
    ended(storage, job)
    assert admin.get(f"/jobs/{job.job_id}/cancel").status_code == 303
    assert admin.post(f"/jobs/{job.job_id}/cancel").status_code == 303


def test_a_waiting_job_says_how_many_come_first(admin: Browser, storage: Storage, clock: StandingClock) -> None:
    keep_job(storage, a_job(database="hub", at=clock() - timedelta(minutes=2)))
    waiting = keep_job(storage, a_job(database="wiki", at=clock(), state=JobState.WAITING))
    assert "1 job before this one." in admin.get(f"/jobs/{waiting.job_id}").text


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (JobKind.COPY, "The copy is there, and was read back in full: it is as it was written."),
        (JobKind.FETCH, "The archive is here again, and is as it was written. No database was changed."),
    ],
)
def test_what_came_of_a_copy_is_not_taken_for_a_restore(
    admin: Browser, storage: Storage, kind: JobKind, said: str
) -> None:
    done = keep_job(storage, a_job(kind, database="wiki", state=JobState.COMPLETED))
    page = admin.get(f"/jobs/{done.job_id}").text
    assert said in page and "restored" not in page.partition('id="end-title"')[2].partition("</section>")[0]


def test_the_list_tells_running_from_ended_and_is_paged(admin: Browser, storage: Storage, clock: StandingClock) -> None:
    for number in range(60):
        keep_job(storage, a_job(database="wiki", at=clock() - timedelta(hours=number + 1), state=JobState.COMPLETED))
    keep_job(storage, a_job(JobKind.VERIFY, database="hub", at=clock()))
    page = admin.get("/jobs").text
    assert "1 job is running" in page
    assert "Verifying a backup of hub" in page
    assert page.count("wiki is backed up") == 50
    assert admin.get("/jobs?page=2").text.count("wiki is backed up") == 10


def test_the_list_of_active_jobs_stops_asking_when_none_is_left(admin: Browser, storage: Storage, job: Job) -> None:
    assert "hx-trigger" in admin.get("/jobs", headers=HTMX).text
    ended(storage, job)
    part = admin.get("/jobs", headers=HTMX).text
    assert "hx-trigger" not in part
    assert "Nothing is running" in part


def test_what_has_ended_joins_the_list_below(admin: Browser, storage: Storage, job: Job) -> None:
    [address] = re.findall(r'hx-get="(/jobs\?[^"]+)"', admin.get("/jobs").text)
    assert 'id="ended"' not in admin.get(address, headers=HTMX).text
    ended(storage, job)
    part = admin.get(address, headers=HTMX).text
    assert 'id="ended" aria-labelledby="ended-title" hx-swap-oob="true"' in part
    assert "hub is backed up" in part


def test_a_restore_into_a_new_database_is_not_told_as_one_of_the_present(admin: Browser, storage: Storage) -> None:
    request = {"backup_id": "20261122T131405Z-abcdef", "mode": "new", "target": "shop_20261122"}
    job = a_job(JobKind.RESTORE, database="shop", state=JobState.RUNNING, parameters={"request": request})
    keep_job(storage, job)
    said = text(admin.get(f"/jobs/{job.job_id}").text)
    assert "Restoring a backup into shop_20261122" in said
    assert "Everything goes into a new database, shop_20261122, and is compared there. Nothing else is changed." in said
    ended(storage, job)
    assert "Data restored into shop_20261122" in text(admin.get(f"/jobs/{job.job_id}").text)


def test_a_restore_that_failed_says_first_what_happened_to_the_data(
    admin: Browser, storage: Storage, clock: StandingClock
) -> None:
    running = keep_job(storage, a_job(JobKind.RESTORE, database="hub", at=clock() - timedelta(minutes=5)))
    failed = a_job(database="hub", at=clock(), state=JobState.FAILED)
    ended(storage, running, JobState.FAILED, error=failed.error)
    page = admin.get(f"/jobs/{running.job_id}").text
    assert re.search(r"<h1[^>]*>Nothing was changed.</h1>", page)
    assert "The restore of hub failed" in page
    said = admin.get(f"/jobs/{running.job_id}?said=75", headers=HTMX).text
    assert re.search(r'<p id="milestone"[^>]*>\s*Nothing was changed. The restore of hub failed</p>', said)


def test_the_json_twin_is_the_record(admin: Browser, job: Job) -> None:
    facts = admin.get(f"/api/jobs/{job.job_id}").json
    assert (facts["id"], facts["state"], facts["progress"]["percent"]) == (job.job_id, "running", 43)


def test_a_job_that_is_not_there_is_a_404(admin: Browser) -> None:
    assert admin.get("/jobs/20261122T000000Z-ffffff").status_code == 404
    assert admin.get("/jobs/..%2faccounts%2fana").status_code == 404


def test_jobs_speak_chinese(admin: Browser, job: Job) -> None:
    page = admin.get(f"/jobs/{job.job_id}", headers={"Accept-Language": "zh-CN"}).text
    assert '<html lang="zh-Hans"' in page
    for said in ("正在备份 hub", "第 2 个表，共 4 个", "还剩约", "取消…"):
        assert said in page, said
