"""The `tap-mysql` command."""

from __future__ import annotations

import typing as t

from dativo_core import starting


def main() -> t.NoReturn:
    """Run the tap and exit with a code that an orchestrator can route on."""
    starting.begin()
    from dativo_core import entrypoint  # noqa: PLC0415 takes a second

    from tap_mysql.tap import TapMySQL  # noqa: PLC0415

    entrypoint.run(TapMySQL)


if __name__ == "__main__":
    main()
