"""Give up root, tie this process to its parent, and become another program.

Run as a script: launcher.py UID GID PARENT SIGNAL PROGRAM [ARGUMENT ...]. A user or
group of -1 keeps the present one, a signal of 0 leaves the process untied.
"""

from __future__ import annotations

import ctypes
import os
import sys

_PR_SET_PDEATHSIG = 1


def _become(user: int, group: int) -> None:
    if user >= 0:
        os.setgroups([])
        os.setgid(group)
        os.setuid(user)


def _die_with(parent: int, signal_number: int) -> None:
    if not signal_number or sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal_number)
    if os.getppid() != parent:
        sys.exit(1)


def _main(
    user: str, group: str, parent: str, signal_number: str, *program: str
) -> None:
    # Changing the user clears the parent-death signal, so the order matters.
    _become(int(user), int(group))
    _die_with(int(parent), int(signal_number))
    os.execv(program[0], program)  # noqa: S606


if __name__ == "__main__":
    _main(*sys.argv[1:])
