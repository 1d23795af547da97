"""Open ONNX files as networks, and write them back."""
