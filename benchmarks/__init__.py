"""dulcet beside its peers, in one run: `python -m benchmarks.run`. Not part of what is installed."""
