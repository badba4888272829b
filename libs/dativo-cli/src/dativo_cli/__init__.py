"""The `dativo` command."""
