"""What is free goes back to the system, also between what is in use."""

from __future__ import annotations

import ctypes
from pathlib import Path

from dativo_core import heap

BLOCK_BYTES, BLOCKS = 2**16, 1024
PAGE_BYTES = 4096


def resident_bytes() -> int:
    """Return how much memory this process takes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES


def test_free_memory_is_given_back() -> None:
    """Free blocks below one in use are nothing that malloc gives back by itself."""
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    libc.free.argtypes = [ctypes.c_void_p]
    blocks = [libc.malloc(BLOCK_BYTES) for _ in range(BLOCKS)]
    for block in blocks:
        ctypes.memset(block, 1, BLOCK_BYTES)
    *others, last = blocks
    for block in others:
        libc.free(block)
    before = resident_bytes()

    heap.trim()

    assert before - resident_bytes() > BLOCK_BYTES * BLOCKS / 2
    libc.free(last)
