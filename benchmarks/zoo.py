"""Take networks of many packages through the workbench: open, plan, decompose, calibrate, distil, export to ONNX.

Each network runs in a process of its own, on 32 random inputs: the plan has 1.5 times fewer MACs, or as few as can be
reached; the signal-to-noise ratio of the outputs is relative to the original; the exported file runs in ONNX Runtime
and is compared with PyTorch. Weights are random, except for those of the face detectors. A row that fails has "why".
The packages are in the extra ``[zoo]``.
"""

import json
import multiprocessing
import re
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

import workbench as wb
from benchmarks._report import parser, report
from benchmarks._zoo_page import page
from benchmarks._zoo_rows import ROWS
from workbench.network.network import first_line

PROCESSES = multiprocessing.get_context("forkserver")
"""Processes that start with the libraries imported, because the import takes longer than most rows."""
LIBRARIES = ["workbench.runs.compress", "workbench.exporters.export", "torch._dynamo", "onnxruntime"]
LIBRARIES += ["onnxscript.function_libs.torch_lib.ops", "benchmarks._zoo_rows", "timm"]  # the rows make timm importable
MACS_RATIO = 1.5
IMAGES = 32
DISTILL_S = 3.0
LIMIT_S = 240
"""Limit of a row's processor time; its wall time may be five times as long."""


def run_row(name: str, send_row: Callable[[dict[str, Any]], object]) -> None:
    """Run all steps on one network, and send the results so far after each step."""
    row: dict[str, Any] = {"opens": False}
    with tempfile.TemporaryDirectory() as folder:
        network = ROWS[name].network(name, Path(folder))
        generator = torch.Generator().manual_seed(0)
        images = torch.randn(IMAGES, *network.input_shape, generator=generator)
        images = images.to(next(network.model.parameters()).dtype)
        spectra = wb.analyze(network, cached=False)
        send_row(row := {"opens": True, "layers": len(spectra.layers)})
        plan, note = make_plan(spectra)
        send_row(row := {**row, "macs_ratio": plan.macs_ratio, "weights_ratio": plan.weights_ratio, **note})
        small = wb.decompose(network, plan)
        send_row(row := {**row, "snr_decomposed_db": wb.compare(small, images).snr_db})
        small = wb.calibrate(small, images)
        send_row(row := {**row, "snr_calibrated_db": wb.compare(small, images).snr_db})
        small = wb.distill(small, images, minutes=DISTILL_S / 60, batch_size=8)
        send_row(row := {**row, "distilled": True, "snr_distilled_db": wb.compare(small, images).snr_db})
        exported = wb.export(small, Path(folder) / "small.onnx", images[:4])
        send_row({**row, "exported": True, "max_error": exported.verification.max_error})


def make_plan(spectra: wb.Spectra) -> tuple[wb.Plan, dict[str, str]]:
    """Return a plan with 1.5 times fewer MACs, or with the fewest possible and a note."""
    try:
        return wb.budget_plan(spectra, macs_ratio=MACS_RATIO), {}
    except wb.PlanError as error:
        match = re.search(r"x([\d.]+)$", str(error))
        if match is None:
            raise
        ratio = max(1.0, 0.99 * float(match[1]))
        return wb.budget_plan(spectra, macs_ratio=ratio), {"note": str(error).partition(": ")[2]}


def run_worker(name: str, results: Connection) -> None:
    """Send the results of a row; an error becomes its "why", with a traceback if the error is unexpected."""
    started = time.process_time()

    def send_row(row: dict[str, Any]) -> None:
        results.send({**row, "seconds": time.process_time() - started})

    torch.set_num_threads(1)
    resource.setrlimit(resource.RLIMIT_CPU, (LIMIT_S, LIMIT_S))
    warnings.simplefilter("ignore")  # the packages' own
    try:
        run_row(name, send_row)
    except (ValueError, ImportError) as error:
        send_row({"why": str(error)})
    except BaseException as error:
        send_row({"why": f"{type(error).__name__}: {first_line(error)}", "traceback": traceback.format_exc()})


def run_in_process(name: str) -> dict[str, Any]:
    """Run a row in a process of its own; a crash, or the time limit, becomes its "why"."""
    receive, send = PROCESSES.Pipe(duplex=False)
    process = PROCESSES.Process(target=run_worker, args=(name, send))
    process.start()
    send.close()
    row: dict[str, Any] = {"name": name, "opens": False}
    deadline = time.monotonic() + 5 * LIMIT_S
    try:
        while receive.poll(max(0.0, deadline - time.monotonic())):
            row.update(receive.recv())
        process.kill()
        row["why"] = f"it was stopped after {5 * LIMIT_S} s on a busy machine"
    except EOFError:
        pass
    process.join()
    if process.exitcode and "why" not in row:
        is_late = process.exitcode in (-signal.SIGKILL, -signal.SIGXCPU)
        row["why"] = f"it was stopped after {LIMIT_S} s" if is_late else f"its process ended with {process.exitcode}"
        row |= {} if is_late else {"traceback": ""}
    return row


def main() -> None:
    """Run the benchmark."""
    arguments = parser(__doc__)
    arguments.add_argument("--only", nargs="+", metavar="NAME", help="only these rows; a FILE keeps its other rows")
    arguments.add_argument("--jobs", type=int, default=2, help="rows that run at a time, each on one core")
    arguments.add_argument("--page", type=Path, help="write the page of the documentation to this file")
    options = arguments.parse_args()
    PROCESSES.set_forkserver_preload(LIBRARIES)
    names = options.only or list(ROWS)
    if unknown := sorted(set(names) - set(ROWS)):
        arguments.error(f"the zoo has no {', '.join(unknown)}; it has {', '.join(ROWS)}")
    rows: dict[str, dict[str, Any]] = {}
    if options.only and options.json and options.json.is_file():
        rows = {row["name"]: row for row in json.loads(options.json.read_text())["rows"]}
    with ThreadPoolExecutor(options.jobs) as pool:
        for future in as_completed([pool.submit(run_in_process, name) for name in names]):
            row = future.result()
            rows[row["name"]] = row
            print(json.dumps(row), file=sys.stderr, flush=True)
    row_list = [rows[name] for name in ROWS if name in rows]
    passed, seconds = sum("why" not in row for row in row_list), sum(row.get("seconds", 0.0) for row in row_list)
    results = {"passed": passed, "of": len(row_list), "seconds": seconds, "rows": row_list}
    report(results, options.json)
    if options.page:
        options.page.write_text(page(results, [name for name in ROWS if name not in rows]), encoding="utf-8")


if __name__ == "__main__":
    main()
