"""The `tap-mysql` command."""

from __future__ import annotations

import typing as t

from dativo_core import entrypoint

from tap_mysql.tap import TapMySQL


def main() -> t.NoReturn:
    """Run the tap and exit with a code that an orchestrator can route on."""
    entrypoint.run(TapMySQL)


if __name__ == "__main__":
    main()
