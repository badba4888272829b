"""What the sandbox's own tests share."""

from __future__ import annotations

import contextlib
import os
import select
import typing as t

import pytest

if t.TYPE_CHECKING:
    from collections.abc import Callable

_PATIENCE_MILLISECONDS = 10_000


@pytest.fixture
def ends() -> Callable[[int], bool]:
    """Tell whether a process ends soon, without asking again and again."""

    def watch(pid: int) -> bool:
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            return True
        with contextlib.closing(os.fdopen(handle)):
            poll = select.poll()
            poll.register(handle, select.POLLIN)
            return bool(poll.poll(_PATIENCE_MILLISECONDS))

    return watch
