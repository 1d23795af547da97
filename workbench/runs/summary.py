"""Say in a sentence what a run saved and lost."""

from workbench.network.verdict import Finding, Verdict
from workbench.plan.plan import Plan
from workbench.runs.run import Run


def summary(run: Run) -> str:
    """Return what a run saved and lost, without a full stop.

    The test images judge it if there are any, because nothing was chosen by them; else those that it was chosen by.
    """
    return f"{saving_text(run.plan)}, {_quality(run.verdict('test') or run.verdict())}"


def saving_text(plan: Plan) -> str:
    """Return how much less work and how much smaller a planned network is, in words."""
    work, size = plan.macs_ratio, plan.weights_ratio
    words = f"{work:.2g} times less work" if work >= 1 else f"{1 / work:.2g} times more work"
    return words + (f", {size:.2g} times smaller" if size >= 1 else f", {1 / size:.2g} times larger")


def _quality(verdict: Verdict | None) -> str:
    if verdict is None:
        return "but its answers were not compared on any images: bring some in Choose, and compress again"
    where, accurate = f"on {verdict.n} images", verdict.kind == "accuracy"
    if verdict.finding is Finding.NO_LOSS:
        return f"as accurate as before {where}" if accurate else f"with the same answers as before {where}"
    doubt = ", too few to tell" if verdict.finding is Finding.TOO_FEW else ""
    lost = 100 * verdict.lost
    if not accurate:
        return f"{lost:.1f} % of the answers changed {where}{doubt}"
    return f"{abs(lost):.1f} points {'more' if lost < 0 else 'less'} accurate {where}{doubt}"
