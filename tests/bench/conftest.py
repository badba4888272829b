"""Let tests import the benchmark's modules, as its scripts do."""

from __future__ import annotations

import sys
from pathlib import Path

# Last, since it has a `stripe` as well.
sys.path.append(str(Path(__file__).resolve().parents[2] / "bench"))
