"""Thresholds, equalized odds, and how far errors could move a gap."""
