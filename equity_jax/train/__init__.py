"""The machine that fits: one program for many runs."""
