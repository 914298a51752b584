"""Model shelf: x -> logits, features."""
