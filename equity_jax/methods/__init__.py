"""Method shelf: how rows and errors are weighed."""
