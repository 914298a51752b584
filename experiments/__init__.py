"""The five studies, each one command."""
