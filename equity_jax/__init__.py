"""equity_jax: placeholder of the face, written last."""
