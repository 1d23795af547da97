"""The step *Speed*: the compressed network measured against its original."""

from dataclasses import dataclass
from typing import Any

from traitlets import Bool, HasTraits, Instance, Int, Tuple

from workbench.app.steps.choose.model import ChooseModel
from workbench.app.steps.recover.model import RecoverModel
from workbench.app.worker import Job, JobKind, Worker
from workbench.measure.energy import Energy, energy
from workbench.measure.explain import explain
from workbench.measure.profile import Profile, profile
from workbench.measure.roofline import Roofline, roofline
from workbench.measure.speed import Speed, speed
from workbench.progress import part

TIMING_S = 3.0  # in each runtime


@dataclass(frozen=True)
class Findings:
    """Measurements of a run."""

    number: int  # of the run
    speed: Speed
    profile: Profile
    roofline: Roofline
    energy: Energy
    explained: str  # the reason of the speed-up, in two sentences
    disturbed: str  # a sentence if another session computed meanwhile, or ""

    def to_dict(self) -> dict[str, Any]:
        """Return the measurements as JSON values for the store and the report."""
        return {
            "latency": self.speed.records,
            "best_realised": self.speed.best_realised,
            "machine": self.roofline.machine,
            "energy": self.energy.to_dict(),
        }


class SpeedModel(HasTraits):
    """Measures the compressed network, and holds the findings until another run becomes current."""

    runtimes = Tuple(("eager", "onnxruntime", "executorch"))
    batch = Int(1)
    threads = Int(1)
    channels_last = Bool(False)
    int8 = Bool(False)  # whether int8 files are timed too
    findings = Instance(Findings, allow_none=True)

    def __init__(self, worker: Worker, choose: ChooseModel, recover: RecoverModel) -> None:
        super().__init__()
        self._worker, self._choose, self._recover = worker, choose, recover
        recover.observe(self._drop_findings, "run")

    def _drop_findings(self, _: object) -> None:
        run, findings = self._recover.run, self.findings
        if run is None or findings is None:
            self.findings = None
        elif run.number != findings.number and run.measured.get("best_realised") != findings.speed.best_realised:
            self.findings = None  # another run, not the same one that was stored under another number

    def measure(self) -> Job:
        """Measure time in the chosen runtimes, layer times and energy of both networks; store undisturbed findings."""
        run, network = self._recover.run, self._recover.compressed
        opened, int8 = self._choose.opened, self.int8
        runtimes, batch, threads = self.runtimes, self.batch, self.threads
        options: dict[str, Any] = {"batch": batch, "threads": threads, "channels_last": self.channels_last}

        def compute(job: Job) -> Findings:
            if run is None or network is None or opened is None:
                raise ValueError("Compress the network first: its speed is measured against the original's.")
            if not runtimes:
                raise ValueError("choose at least one runtime to measure in")
            if int8 and opened.misfit:
                raise ValueError(opened.misfit)
            report, images = job.report, opened.data.unlabelled if int8 else None
            progress = part(report, 0.0, 0.5)
            speeds = speed(network, runtimes, int8=images, seconds=TIMING_S, progress=progress, **options)
            report(0.5, "measuring what this machine can do at most")
            roof = roofline(threads)
            layers = profile(network, progress=part(report, 0.6, 0.9, "timing the layers"), **options)
            progress = part(report, 0.9, 1.0, "energy")
            joules = energy(network, batch=batch, threads=threads, progress=progress)
            disturbed = speeds.disturbed or joules.disturbed
            return Findings(run.number, speeds, layers, roof, joules, explain(layers, roof), disturbed)

        def done(findings: Findings) -> None:
            if self._recover.compressed is not network:
                raise ValueError("the compressed network has changed while it was measured: measure again")
            self.findings = findings
            if not findings.disturbed:
                self._recover.store_measured(findings.number, findings.to_dict())

        return self._worker.submit(JobKind.SPEED, "Measuring speed", compute, done)
