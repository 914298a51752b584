"""Anybody's predictions, read so that the audit can judge them."""
