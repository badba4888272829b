"""The `tap-postgres` command."""

from __future__ import annotations

import typing as t

from dativo_core import entrypoint

from tap_postgres.tap import TapPostgres


def main() -> t.NoReturn:
    """Run the tap and exit with a code that an orchestrator can route on."""
    entrypoint.run(TapPostgres)


if __name__ == "__main__":
    main()
