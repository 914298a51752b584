"""Every number of every group in every replicate."""
