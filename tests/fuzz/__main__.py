"""Try the invariants on what atheris finds: `python tests/fuzz --minutes 10`."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import typing as t
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main() -> int:
    """Run every invariant, or the one that is named, in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10, help="all together")
    parser.add_argument("--only", help="splitter, decoder, names or states")
    parser.add_argument("--fuzz", help=argparse.SUPPRESS)
    parsed, options = parser.parse_known_args()
    if parsed.fuzz:
        fuzz(parsed.fuzz, options)
    chosen = (
        [parsed.only] if parsed.only else ["splitter", "decoder", "names", "states"]
    )
    seconds = max(1, round(parsed.minutes * 60 / len(chosen)))
    return max(run(name, seconds) for name in chosen)


def run(name: str, seconds: int) -> int:
    """Fuzz one invariant; say how many inputs it was tried on."""
    with tempfile.TemporaryDirectory() as corpus:
        command = [
            *(sys.executable, HERE, "--fuzz", name, corpus, HERE / "seeds" / name),
            *(f"-max_total_time={seconds}", "-print_final_stats=1", "-timeout=60"),
            f"-dict={HERE / 'words.dict'}",
        ]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
    runs = re.search(r"number_of_executed_units: (\d+)", done.stderr)
    sys.stdout.write(f"{name}: {runs[1] if runs else 'unknown'} inputs\n")
    if done.returncode:
        sys.stdout.write(done.stderr[-4000:])
    return done.returncode


def fuzz(name: str, options: t.Sequence[str]) -> t.NoReturn:
    """Hand this process over to atheris, which ends it."""
    import atheris  # noqa: PLC0415 it is installed for this only

    sys.path.insert(0, str(HERE))
    with atheris.instrument_imports(include=["target_parquet_iceberg", "invariants"]):
        from invariants import INVARIANTS  # noqa: PLC0415
    atheris.Setup([sys.argv[0], *options], INVARIANTS[name])
    atheris.Fuzz()
    raise SystemExit(0)


if __name__ == "__main__":
    sys.exit(main())
