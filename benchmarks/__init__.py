"""What the README and the app say was measured, and how: one module each, run as ``python -m benchmarks.NAME``."""
