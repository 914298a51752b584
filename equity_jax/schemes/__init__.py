"""Scheme shelf: whose rows, what is carried over, which leaves move."""
