"""What a command does before it imports what it needs."""

from __future__ import annotations

import json
import resource
import subprocess
import sys

import pytest
from dativo_core.starting import MOST_FILES

BEGIN = """
import json, os, resource, sys
from dativo_core import starting
soft, hard = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
starting.begin()
print(json.dumps(resource.getrlimit(resource.RLIMIT_NOFILE)))
"""


@pytest.mark.parametrize(
    ("soft", "hard", "allowed"), [(64, 100, 100), (100, 100, 100), (80, 1_000, 1_000)]
)
def test_as_many_files_as_the_system_allows(soft, hard, allowed) -> None:
    """A thousand streams that wait on disk need more than the usual 1,024."""
    command = [sys.executable, "-c", BEGIN, str(soft), str(hard)]
    done = subprocess.run(command, capture_output=True, check=True)
    assert json.loads(done.stdout) == [allowed, hard]


def test_a_high_limit_stays() -> None:
    """But nobody needs millions."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = hard == resource.RLIM_INFINITY
    most = MOST_FILES if unlimited else min(MOST_FILES, hard)
    command = [sys.executable, "-c", BEGIN, str(most), str(hard)]
    done = subprocess.run(command, capture_output=True, check=True)
    assert json.loads(done.stdout) == [most, hard]
