"""Speed and memory beside the peers: `python -m scripts.benchmark --help`."""
