"""Commands beside the studies."""
