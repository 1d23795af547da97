"""Time EVBMF ranks and Tucker-2 of VGG-16's thirteen convolutions, by public code and by the workbench, in turns.

(a) public code: musco-pytorch's EVBMF and ``tensorly.decomposition.partial_tucker``, in an environment of their own;
(b) the workbench: ``analyze_mode``, ``evbmf``, ``tucker2``; (c) the floor: only the Gram products and symmetric
eigenvalue problems of both unfoldings. The weights are low-rank plus noise, float32, from a seed. Both decompositions
use the workbench's ranks, so that their errors are comparable.

Then VGG-16 with its fully connected layers: seconds and peak memory to analyse and plan it, seconds from the cache in
another process, the ratio of the seconds to the floor (Gram products and eigenvalue problems, without eigenvectors for
layers that are reduced on one side only), and the time to change a rank and predict the costs of a 100-layer network.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import workbench as wb
from benchmarks._report import parser, report, timed
from workbench.kernels.hosvd import analyze_mode
from workbench.kernels.tucker import Tucker2
from workbench.kernels.unfolding import IN_MODE, OUT_MODE, unfold

ROOT = Path(__file__).resolve().parents[1]
CHANNELS = [(3, 64), (64, 64), (64, 128), (128, 128), (128, 256), (256, 256), (256, 256), (256, 512)] + [(512, 512)] * 5
PUBLIC = ["musco-pytorch", "numpy", "scipy", "tensorly", "packaging"]


def kernel(in_channels: int, out_channels: int, generator: torch.Generator) -> Tensor:
    """A 3x3 kernel whose ranks are a quarter of its channels, with a tenth of noise."""
    rank_in, rank_out = max(1, in_channels // 4), max(1, out_channels // 4)
    core = torch.randn(rank_out, rank_in, 3, 3, generator=generator)
    out = torch.linalg.qr(torch.randn(out_channels, rank_out, generator=generator))[0]
    in_ = torch.linalg.qr(torch.randn(in_channels, rank_in, generator=generator))[0]
    signal = torch.einsum("abij,ta,sb->tsij", core, out, in_)
    return 0.01 * (signal / signal.std() + 0.1 * torch.randn(signal.shape, generator=generator))


def workbench_tucker2(k: Tensor) -> tuple[list[int], Tucker2]:
    """EVBMF ranks and Tucker-2 factors by the workbench."""
    out, in_ = analyze_mode(k, OUT_MODE), analyze_mode(k, IN_MODE)
    ranks = [out.evbmf().rank, in_.evbmf().rank]
    return ranks, wb.kernels.tucker2(k, rank_out=ranks[0], rank_in=ranks[1], bases=(out.basis, in_.basis))


def floor(k: Tensor, method: str = "tucker2") -> None:
    """Compute the eigenvalue problems that any solution needs."""
    for mode in (OUT_MODE, IN_MODE) if method == "tucker2" else (OUT_MODE,):
        matrix = unfold(k.double(), mode)
        solve = torch.linalg.eigh if method == "tucker2" else torch.linalg.eigvalsh
        solve(matrix @ matrix.mT)


class Public:
    """A process that runs the public code in an environment of its own."""

    def __init__(self, folder: Path) -> None:
        python = folder / "bin" / "python"
        if not (folder / "ready").exists():
            venv.create(folder, with_pip=True)
            pip = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
            # Without musco's requirements, which pin old versions: EVBMF needs only numpy and scipy.
            subprocess.run([*pip, "--no-deps", PUBLIC[0]], check=True)
            subprocess.run([*pip, "-c", ROOT / "constraints.txt", *PUBLIC[1:]], check=True)
            (folder / "ready").touch()
        self.process = subprocess.Popen(
            [python, ROOT / "benchmarks" / "_public_worker.py"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._read()

    def _read(self) -> str:
        line = self.process.stdout.readline()  # type: ignore[union-attr]
        if not line:
            raise SystemExit("the public code's process has ended: see above")
        return line

    def __call__(self, k: Tensor, ranks: list[int], folder: Path) -> tuple[float, list[int], float]:
        """Return the seconds, the public code's own ranks, and its relative error at `ranks`."""
        path = folder / "kernel.npy"
        np.save(path, k.numpy())
        self.process.stdin.write(json.dumps({"kernel": str(path), "ranks": ranks}) + "\n")  # type: ignore[union-attr]
        self.process.stdin.flush()  # type: ignore[union-attr]
        answer = json.loads(self._read())
        core, out, in_ = (torch.from_numpy(np.load(p)).double() for p in (answer["core"], *answer["factors"]))
        error = wb.kernels.relative_error(k, torch.einsum("abij,ta,sb->tsij", core, out, in_))
        return answer["seconds"], answer["ranks"], error


def layers(public: Public, count: int, repeats: int, seed: int) -> list[dict[str, Any]]:
    """Return the results of each layer."""
    generator = torch.Generator().manual_seed(seed)
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for i, (in_channels, out_channels) in enumerate(CHANNELS[:count]):
            k = kernel(in_channels, out_channels, generator)
            workbench_times, floor_times = [], []
            for _ in range(repeats):
                floor_times.append(timed(lambda k=k: floor(k))[0])
                seconds, (ranks, factors) = timed(lambda k=k: workbench_tucker2(k))
                workbench_times.append(seconds)
            public_seconds, public_ranks, public_error = public(k, ranks, Path(folder))
            error = wb.kernels.relative_error(k, factors)
            results.append(
                {
                    "layer": i + 1,
                    "in_channels": in_channels,
                    "out_channels": out_channels,
                    "ranks": ranks,
                    "public_ranks": public_ranks,
                    "seconds": statistics.median(workbench_times),
                    "public_seconds": public_seconds,
                    "floor_seconds": statistics.median(floor_times),
                    "error": error,
                    "public_error": public_error,
                    "error_excess": error / public_error - 1,
                }
            )
            print(json.dumps(results[-1]), flush=True)
    return results


VGG16_SCRIPT = """
import json, resource, sys, time
import torch
import workbench as wb
from benchmarks.kernels import floor
from workbench.catalog.networks.torchvision import torchvision
from workbench.network.layers import kernel_of
from workbench.network.tracing import find_layers
torch.manual_seed(0)
network = wb.Network(torchvision("models").vgg16(weights=None).eval(), (3, 224, 224), name="vgg16")
layers = [layer for layer in find_layers(network).layers if layer.method != "keep"]
analyze, evbmf_plan = wb.analyze, wb.evbmf_plan  # imported before the clock runs
started = time.perf_counter()
if sys.argv[1:] == ["floor"]:
    for layer in layers:
        floor(kernel_of(network.model.get_submodule(layer.name), layer).detach(), layer.method)
else:
    evbmf_plan(analyze(network))
seconds = time.perf_counter() - started
unit = 1 if sys.platform == "darwin" else 1024
peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9
print(json.dumps({"seconds": seconds, "peak_gb": peak_gb}))
"""


def time_vgg16(repeats: int) -> dict[str, Any]:
    """Time VGG-16's analysis without cache, the floor, and the analysis with cache, each in a process of its own."""
    runs: dict[str, list[dict[str, float]]] = {"cold": [], "floor": [], "cached": []}
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            environment = {**os.environ, "WORKBENCH_CACHE": folder}
            for name in runs:  # "cached" uses the cache of "cold"
                command = [sys.executable, "-c", VGG16_SCRIPT, name]
                output = subprocess.check_output(command, env=environment, cwd=ROOT, text=True)
                runs[name].append(json.loads(output.splitlines()[-1]))
    seconds = {name: statistics.median(run["seconds"] for run in measurements) for name, measurements in runs.items()}
    return {
        "seconds_cold": seconds["cold"],
        "seconds_cached": seconds["cached"],
        "peak_gb": max(run["peak_gb"] for run in runs["cold"]),
        "floor_seconds": seconds["floor"],
        "ratio_to_floor": seconds["cold"] / seconds["floor"],
        "seconds_cold_each": [run["seconds"] for run in runs["cold"]],
        "floor_seconds_each": [run["seconds"] for run in runs["floor"]],
    }


def replan_ms(edits: int = 200) -> float:
    """Median milliseconds to change one rank and predict weights, MACs and error of a network of 100 layers."""
    torch.manual_seed(0)
    model = nn.Sequential(*(nn.Conv2d(32, 32, 3, padding=1) for _ in range(100)))
    plan = wb.evbmf_plan(wb.analyze(wb.Network(model, (32, 16, 16), name="hundred"), cached=False))
    for part in plan:
        plan = plan.with_ranks(part.name, rank_in=8, rank_out=8)
    seconds = []
    for i in range(edits):
        started = time.perf_counter()
        plan = plan.with_ranks(str(i % 100), rank_in=1 + i % 32, rank_out=1 + (7 * i) % 32)
        _ = plan.macs, plan.weights, plan.macs_ratio, plan.error
        seconds.append(time.perf_counter() - started)
    return 1000 * statistics.median(seconds)


def main() -> None:
    """Run the benchmark."""
    arguments = parser(__doc__)
    arguments.add_argument("--layers", type=int, default=len(CHANNELS), help="number of layers, from the first one")
    arguments.add_argument("--repeats", type=int, default=3)
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--no-vgg16", action="store_true", help="leave out the whole network")
    options = arguments.parse_args()
    layer_results = layers(Public(ROOT / "build" / "public"), options.layers, options.repeats, options.seed)
    total = {key: sum(layer[key] for layer in layer_results) for key in ("seconds", "public_seconds", "floor_seconds")}
    results: dict[str, Any] = {
        "ratio_to_public": total["public_seconds"] / total["seconds"],
        "ratio_to_floor": total["seconds"] / total["floor_seconds"],
        "error_excess": max(layer["error_excess"] for layer in layer_results),
        "replan_ms": replan_ms(),
        "threads": torch.get_num_threads(),
        "layers": layer_results,
    }
    if not options.no_vgg16:
        results["vgg16"] = time_vgg16(options.repeats)
    report(results, options.json)


if __name__ == "__main__":
    main()
