"""What is said aloud of a job: a few milestones, each once. The panel itself changes every second and says nothing."""

from __future__ import annotations

from storage.jobs.model import Job, JobState

_QUARTERS = (25, 50, 75)


def milestone(job: Job) -> str:
    """The newest milestone: waiting, running, 25, 50, 75, or the state in which the job ended."""
    if job.ended or job.state is JobState.WAITING:
        return job.state.value
    percent = job.progress.percent
    reached = [quarter for quarter in _QUARTERS if percent is not None and percent >= quarter]
    return str(reached[-1]) if reached else job.state.value
