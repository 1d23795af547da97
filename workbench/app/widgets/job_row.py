"""Progress, note, remaining time, error and Cancel of jobs: one kind where it was started, and all in a list."""

from html import escape

import ipywidgets as w

from workbench.app.controls import Alert
from workbench.app.worker import Job, JobKind, JobState, Worker
from workbench.progress import remaining_text

TRAITS = ["state", "note", "progress", "error"]


class JobLine(w.VBox):  # type: ignore[misc]
    """Shows one job, and what became of it after its end; `idle` is the text before the first job."""

    def __init__(self, idle: str = "") -> None:
        self._job: Job | None = None
        text = f"<div class='wb-status'>{escape(idle)}</div>"
        self._text = w.HTML(text, layout={"flex": "0 1 auto", "min_width": "200px"})
        self._bar = w.FloatProgress(min=0, max=1, layout={"flex": "1 1 100px", "height": "14px"})
        self._stop, self._error = w.Button(layout={"width": "90px", "flex": "none"}), Alert()
        layout = {"align_items": "center", "grid_gap": "10px", "width": "100%"}
        super().__init__([w.HBox([self._text, self._bar, self._stop], layout=layout), self._error])
        self._stop.on_click(lambda _: self._job.cancel() if self._job is not None else None)
        self._draw()

    def show(self, job: Job | None) -> None:
        """Show another job; None for nothing."""
        if job is self._job:
            return
        if self._job is not None:
            self._job.unobserve(self._draw, TRAITS)
        self._job = job
        if job is None:
            self._text.value = "<div class='wb-status'></div>"
        else:
            job.observe(self._draw, TRAITS)
        self._draw()

    def _draw(self, _: object = None) -> None:
        job = self._job
        self._stop.layout.visibility = "visible" if job and job.active else "hidden"  # it keeps its place
        self._bar.layout.display = "" if job and job.state is JobState.RUNNING else "none"
        self._error.say(job.error if job else "")
        if job is None:
            return
        self._bar.value = job.progress
        waiting = job.state is JobState.WAITING
        self._stop.description = "Take back" if waiting else "Cancel"
        self._stop.tooltip = f"{self._stop.description}: {job.title}"
        words = ": waits" if waiting else job_words(job)
        self._text.value = f"<div class='wb-status' role='status'><b>{escape(job.title)}</b>{words}</div>"


class JobRow(JobLine):
    """Shows the newest job of some kinds."""

    def __init__(self, worker: Worker, *kinds: JobKind, idle: str = "") -> None:
        super().__init__(idle)
        self._worker, self._kinds = worker, kinds
        worker.observe(self._follow, "jobs")

    def clear(self) -> None:
        """Show nothing of a job that has ended."""
        if self._job is None or not self._job.active:
            self.show(None)

    def _follow(self, _: object) -> None:
        found = [job for job in self._worker.jobs if job.kind in self._kinds]
        if found:
            self.show(found[-1])


class JobList(w.VBox):  # type: ignore[misc]
    """Lists the job that runs and those that wait but for short ones; one of the kind `kept` also after its end."""

    def __init__(self, worker: Worker, kept: JobKind) -> None:
        self._lines = [JobLine()]  # the first is always there
        super().__init__(self._lines, layout={"grid_gap": "2px"})
        self._worker, self._kept = worker, kept
        self.add_class("wb-jobs")
        worker.observe(self._follow, "jobs")

    def _follow(self, _: object) -> None:
        jobs = [job for i, job in enumerate(self._worker.jobs) if i == 0 or not job.short]
        last = self._lines[0]._job
        shown = jobs or [last if last and last.kind is self._kept else None]
        self._lines += [JobLine() for _ in shown[len(self._lines) :]]
        for line, job in zip(self._lines, shown, strict=False):
            line.show(job)
        self.children = self._lines[: len(shown)]


def job_words(job: Job) -> str:
    """Return note and remaining time of a job as HTML."""
    note = f": {escape(job.note)}" if job.note else ""
    return f"{note} <small>({remaining_text(job.remaining_s)})</small>" if job.remaining_s >= 0 else note
