"""Do intervals cover, in simulated worlds: `python -m scripts.coverage --help`."""
