"""The `tap-stripe` command."""

from __future__ import annotations

import typing as t

from dativo_core import entrypoint

from tap_stripe.tap import TapStripe


def main() -> t.NoReturn:
    """Run the tap and exit with a code that an orchestrator can route on."""
    entrypoint.run(TapStripe)


if __name__ == "__main__":
    main()
