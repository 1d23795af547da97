"""Files that others run: weights with a plan, ONNX, ExecuTorch, and a report of a run; each checked after writing."""
