"""Progress, note, remaining time, error and Cancel of jobs of certain kinds; and the list of all jobs."""

from html import escape
from typing import Any

import ipywidgets as w

from workbench.app.worker import Job, JobKind, JobState, Worker


class JobRow(w.VBox):  # type: ignore[misc]
    """Shows the newest job of some kinds, and what became of it after its end.

    Parameters
    ----------
    kinds : which jobs.
    idle : text before the first job.
    """

    def __init__(self, worker: Worker, *kinds: JobKind, idle: str = "") -> None:
        self._worker, self._kinds = worker, kinds
        self._job: Job | None = None
        self._text = w.HTML(layout={"flex": "0 1 auto", "min_width": "200px"})
        self._bar = w.FloatProgress(min=0, max=1, layout={"flex": "1 1 160px", "height": "14px"})
        self._cancel = w.Button(description="Cancel", layout={"width": "90px"}, tooltip="Stop this")
        self._error = w.HTML()
        row = w.HBox([self._text, self._bar, self._cancel])
        row.layout.align_items, row.layout.grid_gap, row.layout.width = "center", "10px", "100%"
        super().__init__([row, self._error])
        self._cancel.on_click(self._stop)
        self._text.value = f"<div class='wb-status'>{escape(idle)}</div>"
        worker.observe(self._follow, "jobs")
        self._draw()

    def clear(self) -> None:
        """Show nothing of a job that has ended."""
        if self._job is None or not self._job.active:
            self._job = None
            self._text.value = "<div class='wb-status'></div>"
            self._draw()

    def _stop(self, _: object) -> None:
        if self._job is not None:
            self._job.cancel()

    def _follow(self, _: object) -> None:
        found = [job for job in self._worker.jobs if job.kind in self._kinds]
        if found and found[-1] is not self._job:
            self._job = found[-1]
            self._job.observe(self._draw, ["state", "note", "progress", "error"])
            self._draw()

    def _draw(self, change: Any = None) -> None:
        job = self._job
        if change is not None and change["owner"] is not job:
            return
        shown = "visible" if job is not None and job.active else "hidden"
        self._bar.layout.visibility = self._cancel.layout.visibility = shown
        if job is None:
            self._error.value = ""
            return
        self._bar.value = job.progress
        self._text.value = f"<div class='wb-status' role='status'><b>{escape(job.title)}</b>{job_words(job)}</div>"
        self._error.value = f"<div class='wb-error' role='alert'>{escape(job.error)}</div>" if job.error else ""


class JobList(w.VBox):  # type: ignore[misc]
    """Lists the job that runs and those that wait, each with a button that cancels it or takes it back."""

    def __init__(self, worker: Worker) -> None:
        super().__init__()
        self._worker = worker
        self._rows: dict[Job, w.Widget] = {}
        self.add_class("wb-jobs")
        worker.observe(self._follow, "jobs")
        self._follow()

    def _follow(self, _: object = None) -> None:
        jobs = [job for job in self._worker.jobs if job.kind is not JobKind.GALLERY]
        self._rows = {job: self._rows.get(job) or self._row(job) for job in jobs}
        self.children = tuple(self._rows.values())

    @staticmethod
    def _row(job: Job) -> w.Widget:
        text = w.HTML(layout={"flex": "1 1 auto"})
        stop = w.Button(layout={"width": "96px"})
        stop.on_click(lambda _: job.cancel())

        def draw(_: object = None) -> None:
            waiting = job.state is JobState.WAITING
            stop.description = "Take back" if waiting else "Cancel"
            stop.tooltip = f"{stop.description}: {job.title}"
            words = ", waits" if waiting else f", {job.progress:.0%}{job_words(job)}"
            text.value = f"<div class='wb-soft'><b>{escape(job.title)}</b>{words}</div>"

        job.observe(draw, ["state", "note", "progress"])
        draw()
        return w.HBox([text, stop], layout={"align_items": "center", "grid_gap": "8px"})


def job_words(job: Job) -> str:
    """Return note and remaining time of a job as HTML."""
    note = f": {escape(job.note)}" if job.note else ""
    if job.remaining_s < 0:
        return note
    minutes, seconds = divmod(round(job.remaining_s), 60)
    return f"{note} <small>(about {f'{minutes} min {seconds:02d} s' if minutes else f'{seconds} s'} left)</small>"
