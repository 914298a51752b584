"""Judging networks of images: where they look, and what else would tell the answer."""
