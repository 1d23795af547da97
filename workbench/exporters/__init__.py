"""Export to ONNX, ExecuTorch, plan with weights, and a report."""
