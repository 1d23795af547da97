"""Progress, note, remaining time, error and Cancel of the jobs of a session, in a list."""

from collections.abc import Mapping
from html import escape
from typing import Any

import ipywidgets as w

from workbench.app.controls import Alert
from workbench.app.worker import Job, JobKind, JobState, Worker
from workbench.progress import remaining_text

TRAITS = ["state", "note", "progress", "error"]


class JobLine(w.VBox):  # type: ignore[misc]
    """Shows the progress and the outcome of one job; `titles` replace the titles of some kinds of jobs."""

    def __init__(self, titles: Mapping[JobKind, str]) -> None:
        self._job: Job | None = None
        self._titles = titles
        self._text = w.HTML(layout={"flex": "0 1 auto", "min_width": "200px"})
        self._bar = w.FloatProgress(min=0, max=1, layout={"flex": "1 1 100px", "height": "14px"})
        self._cancel_button, self._error = w.Button(layout={"width": "90px", "flex": "none"}), Alert()
        layout = {"align_items": "center", "grid_gap": "10px", "width": "100%"}
        super().__init__([w.HBox([self._text, self._bar, self._cancel_button], layout=layout), self._error])
        self._cancel_button.on_click(lambda _: self._job.cancel() if self._job is not None else None)
        self._draw()

    def show(self, job: Job | None) -> None:
        """Show another job, or none."""
        if job is self._job:
            return
        if self._job is not None:
            self._job.unobserve(self._draw, TRAITS)
        self._job = job
        if job is not None:
            job.observe(self._draw, TRAITS)
        self._draw()

    def _draw(self, _: object = None) -> None:
        job = self._job
        self._cancel_button.layout.visibility = "visible" if job and job.active else "hidden"  # it keeps its place
        self._bar.layout.display = "" if job and job.state is JobState.RUNNING else "none"
        self._error.say(job.error if job else "")
        if job is None:
            self._text.value = "<div class='wb-status'>Ready</div>"
            return
        self._bar.value = job.progress
        self._cancel_button.description, words = "Cancel", f": {escape(job.note)}" if job.note else ""
        if job.remaining_s >= 0:
            words += f" <small>({remaining_text(job.remaining_s)})</small>"
        if job.state is JobState.WAITING:
            self._cancel_button.description, words = "Take back", ": waits"
        title = self._titles.get(job.kind, job.title)
        self._cancel_button.tooltip = f"{self._cancel_button.description}: {title}"
        self._text.value = f"<div class='wb-status' role='status'><b>{escape(title)}</b>{words}</div>"


class JobList(w.VBox):  # type: ignore[misc]
    """Lists the running job and the long waiting ones; when idle, the last long job and a short one that failed."""

    def __init__(self, worker: Worker, titles: Mapping[JobKind, str] | None = None) -> None:
        self._titles = titles or {}
        self._lines = [JobLine(self._titles)]  # at least one
        super().__init__(self._lines, layout={"grid_gap": "2px"})
        self._worker = worker
        self._last: Job | None = None
        self._failed: Job | None = None  # the last short job that failed after it
        self.add_class("wb-jobs")
        worker.observe(self._follow, "jobs")

    def _follow(self, change: dict[str, Any]) -> None:
        jobs = [job for i, job in enumerate(self._worker.jobs) if i == 0 or not job.short]
        last = next((job for job in jobs if not job.short), self._last)
        failed = [job for job in change["old"] if job.short and job.state is JobState.FAILED]
        self._failed = next(iter(failed), self._failed if last is self._last else None)
        self._last = last
        listed = jobs or [*filter(None, (last, self._failed))] or [None]
        self._lines += [JobLine(self._titles) for _ in listed[len(self._lines) :]]
        for line, job in zip(self._lines, listed, strict=False):
            line.show(job)
        self.children = self._lines[: len(listed)]
