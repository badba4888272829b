"""The one failure of a sandbox: a server that could not be started."""

from __future__ import annotations


class ServerStartError(RuntimeError):
    """A server could not be started.

    Args:
        what: What happened, and to which server.
        hint: What to do next, as an imperative sentence.
    """

    def __init__(self, what: str, *, hint: str = "") -> None:
        super().__init__(f"{what} {hint}".rstrip())
        self.what = what
        self.hint = hint
