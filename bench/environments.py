"""Environments of their own for our programs and for each of the others."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import typing as t
from pathlib import Path

from uv import find_uv_bin

BENCH = Path(__file__).resolve().parent
ROOT = BENCH.parent
PEERS = ROOT / ".dativo" / "peers"
OURS = ROOT / ".dativo" / "bench"
TAPS = ("tap-mysql", "tap-postgres", "tap-stripe")


def install_ours() -> None:
    """Give our programs what users have: no tool of ours, no pandas, all compiled."""
    taps = [f"dativo-{name}" for name in TAPS if (ROOT / "taps" / name).exists()]
    names = [*taps, "dativo-target-parquet-iceberg"]
    packages = [f"--package={name}" for name in names]
    python = f"--python={sys.executable}"
    options = ("--frozen", "--no-default-groups", "--compile-bytecode", python)
    _uv("sync", *options, *packages, UV_PROJECT_ENVIRONMENT=str(OURS))


def install(peer: str) -> None:
    """Give another project's package an environment of its own, as pinned."""
    pins = pinned()[peer]
    venv = PEERS / peer
    complete = venv / "pins.json"
    if complete.exists() and json.loads(complete.read_text(encoding="utf-8")) == pins:
        return
    _uv("venv", "--clear", "--python", sys.executable, str(venv))
    python = str(venv / "bin" / "python")
    _uv("pip", "install", "--compile-bytecode", "--python", python, *pins)
    complete.write_text(json.dumps(pins), encoding="utf-8")


def pinned() -> dict[str, list[str]]:
    """Return the packages of each peer, with their versions."""
    pins = json.loads((BENCH / "peers.json").read_text(encoding="utf-8"))
    return t.cast("dict[str, list[str]]", pins)


def _uv(*arguments: str, **variables: str) -> None:
    subprocess.run(
        [find_uv_bin(), "--quiet", *arguments],
        check=True,
        cwd=ROOT,
        env={**os.environ, "UV_PYTHON_DOWNLOADS": "never", **variables},
    )
