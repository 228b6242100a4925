"""The power-cut engine: `ota cut`. Method and results: docs/reliability.md."""
