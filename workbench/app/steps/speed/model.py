"""Speed and energy of the newest compressed network beside the original's, measured when somebody asks. No widgets."""

import time
from dataclasses import dataclass
from typing import Any

from traitlets import Bool, HasTraits, Instance, Int, Tuple, Unicode

from workbench.app.jobs import Cancelled, Job
from workbench.app.state import State
from workbench.measure.energy import Energy, energies, saving, sources
from workbench.measure.explain import explain
from workbench.measure.latency import Speed, speed
from workbench.measure.profile import profiles
from workbench.measure.profile_table import Profile
from workbench.measure.roofline import Roofline, roofline
from workbench.network.network import Network

SECONDS = 3.0
"""Of timing, for each runtime."""
PATIENCE = 10.0
"""Seconds in which other work may end before it is said to be in the way."""


@dataclass(frozen=True)
class Findings:
    """What was measured of one run.

    Attributes
    ----------
    number : of the run.
    speed : the two networks in each runtime.
    profiles : (original, compressed), layer by layer in PyTorch.
    roofline : of this machine.
    energies : (original, compressed), measured or estimated.
    explained : why the speed-up is what it is, in two sentences.
    """

    number: int
    speed: Speed
    profiles: tuple[Profile, Profile]
    roofline: Roofline
    energies: tuple[Energy, Energy]
    explained: str

    @property
    def saved_energy(self) -> str:
        """Like "x2.07 less energy an image (estimate): ..."."""
        return saving(*self.energies)

    def to_dict(self) -> dict[str, Any]:
        """JSON values, as the run store and the report have them."""
        before, after = self.energies
        return {
            "latency": self.speed.rows(),
            "best_realised": self.speed.best_realised,
            "machine": self.roofline.machine,
            "energy": {
                "dense_mj": 1e3 * before.joules,
                "compressed_mj": 1e3 * after.joules,
                "measured": before.measured and after.measured,
                "source": sources(before, after),
            },
        }


class Speeds(HasTraits):
    """What was measured last; it belongs to a run and goes when another network is worked on.

    Traits
    ------
    runtimes, batch, threads, channels_last : how to measure.
    findings : None before the first, and when the compressed network is another one.
    note : what is missing before one can measure, in a sentence, or "".
    job : the measuring.
    """

    runtimes = Tuple(("eager", "onnxruntime", "executorch"))
    batch = Int(1)
    threads = Int(1)
    channels_last = Bool(False)
    findings = Instance(Findings, allow_none=True)
    note = Unicode()
    job = Instance(Job)

    def __init__(self, state: State) -> None:
        super().__init__(job=Job())
        self._state = state
        self._timing = self._spoiled = False
        state.observe(self._follow, ["smaller", "network"])
        state.job.observe(self._disturbed, ["running"])
        self._follow()

    def _follow(self, _: object = None) -> None:
        state = self._state
        if self.findings is not None and (state.smaller is None or state.number != self.findings.number):
            self.findings = None
            if not self.job.running:
                self.job.note = self.job.error = ""  # they were about the network before
        if state.smaller is None:
            self.note = "Compress the network first: its speed is measured against the original's."
        else:
            self.note = ""

    def _disturbed(self, _: object) -> None:
        """Other work begins: it would spoil the times."""
        if self._state.job.running and self._timing:
            self._spoiled = True
            self.job.cancel()

    def measure(self) -> bool:
        """Time both networks in the chosen runtimes, layer by layer, and their energy; in the background.

        It ends with an error if other work begins meanwhile.
        """
        return self.job.start("Measuring speed", self._undisturbed)

    def _undisturbed(self, job: Job) -> None:
        self._timing = self._spoiled = False
        try:
            self._measure(job)
        except Cancelled:
            if self._spoiled:
                raise ValueError("other work began and would have spoiled the times: press Measure again") from None
            raise
        finally:
            self._timing = False

    def _measure(self, job: Job) -> None:
        state = self._state
        until = time.monotonic() + PATIENCE
        while state.job.running and time.monotonic() < until:
            job.report(0.0, "waiting for other work to end")
            time.sleep(0.05)
        if state.job.running:
            raise ValueError("something else is being computed just now, and would spoil the times: wait until it ends")
        self._timing = True
        network, smaller, number = state.network, state.smaller, state.number  # what that work has made
        if network is None or smaller is None:
            raise ValueError(self.note or "compress the network first")
        if not self.runtimes:
            raise ValueError("choose at least one runtime to measure in")
        how: dict[str, Any] = {"batch": self.batch, "threads": self.threads}
        found = speed(
            network,
            smaller,
            self.runtimes,
            **how,
            channels_last=self.channels_last,
            seconds=SECONDS,
            progress=lambda share, note: job.report(0.5 * share, note),
        )
        job.report(0.5, "measuring what this machine can do at most")
        roof = roofline(self.threads)
        before, after = profiles(
            [network, smaller],
            **how,
            channels_last=self.channels_last,
            progress=lambda share, note: job.report(0.6 + 0.3 * share, f"timing the layers of {note}"),
        )
        first = next(iter(found.latencies.values()))
        seconds = [1e-3 * first.ms(name) / self.batch for name in ("original", "compressed")]
        spent = energies(
            [network, smaller],
            **how,
            seconds_per_image=seconds,
            progress=lambda share, note: job.report(0.9 + 0.1 * share, f"energy of {note}"),
        )
        job.report(1.0)  # or not, if it was cancelled
        why = explain(before, after, roof)
        findings = Findings(number, found, (before, after), roof, (spent[0], spent[1]), why)
        if state.smaller is not smaller:
            raise ValueError(
                self.note or "the compressed network became another one while it was measured: press Measure again"
            )
        job.post(lambda: self._found(findings, smaller))

    def _found(self, findings: Findings, smaller: Network) -> None:
        if self._state.smaller is not smaller:
            return  # it became another one in this very moment
        self.findings = findings
        self._state.keep_measured(findings.number, findings.to_dict())
