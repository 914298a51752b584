"""Intervals, bands, tests and power, as functions of estimates."""
