"""Keep the states of breakers between runs: one is too short to learn much."""

from __future__ import annotations

import contextlib
import hashlib
import json
import typing as t
from dataclasses import asdict

from dativo_core.breaker import BreakerState, Outcome, Phase
from dativo_core.files import replace_file

if t.TYPE_CHECKING:
    from pathlib import Path


class JsonBreakerStore:
    """One JSON file a key, for its owner only, replaced as a whole.

    A file that cannot be read counts as none: a breaker must not stop a healthy run.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load(self, key: str) -> BreakerState | None:
        """Return what was saved, if it can be read."""
        try:
            content = json.loads(self._path(key).read_bytes())
            window = tuple(
                Outcome(float(at), bool(is_failed), bool(is_slow))
                for at, is_failed, is_slow in content["window"]
            )
            phase, opened_at = Phase(content["phase"]), float(content["opened_at"])
            return BreakerState(phase, opened_at, int(content["openings"]), window)
        except (OSError, ValueError, TypeError, KeyError, OverflowError):
            return None

    def save(self, key: str, state: BreakerState) -> None:
        """Keep a state; a full disk or a read-only folder costs no more than that."""
        window = [(one.at, one.is_failed, one.is_slow) for one in state.window]
        text = json.dumps({**asdict(state), "window": window})
        with contextlib.suppress(OSError):
            replace_file(self._path(key), text.encode())

    def _path(self, key: str) -> Path:
        digest = hashlib.sha256(key.encode()).hexdigest()[:32]
        return self._folder / f"breaker-{digest}.json"
