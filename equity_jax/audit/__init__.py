"""The machine that judges: who is served worse, and how sure we are."""
