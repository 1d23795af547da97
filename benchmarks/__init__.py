"""The measurements that the README and the app quote; each module runs as ``python -m benchmarks.NAME``."""
