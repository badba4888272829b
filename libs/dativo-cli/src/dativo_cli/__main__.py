"""Run the `dativo` command as a module."""

from __future__ import annotations

from dativo_cli.main import main

if __name__ == "__main__":
    main()
