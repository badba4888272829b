"""Run the `dativo` command."""

from __future__ import annotations

import typing as t

from dativo_core import starting


def main() -> t.NoReturn:
    """Run the command and exit with one of the documented codes."""
    starting.begin()
    from dativo_cli.main import run  # noqa: PLC0415 takes a second

    run()


if __name__ == "__main__":
    main()
