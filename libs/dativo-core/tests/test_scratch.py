"""Folders of work: private, gone at the end, and swept when their process died."""

from __future__ import annotations

import errno
import fcntl
import gc
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from dativo_core import scratch
from dativo_core.errors import TryLaterError
from dativo_core.scratch import Scratch

HOLD = """
import sys
from dativo_core.scratch import Scratch
held = Scratch()
(held.path / "rows").write_text("private")
print(held.path, flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch) -> Path:
    """The folder for temporary files, here and in processes that start."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def test_a_folder_is_private_and_gone_at_the_end(root) -> None:
    """Closed by hand, by a block, or when nobody holds it."""
    first = Scratch()
    assert first.path.parent == root
    assert first.path.stat().st_mode & 0o777 == 0o700
    first.close()
    first.close()
    with Scratch() as path:
        (path / "inside").mkdir()
    dropped = Scratch()
    del dropped
    gc.collect()
    assert list(root.iterdir()) == []


def test_who_comes_next_removes_what_the_dead_left(root) -> None:
    """But never what a living process uses, nor what is not ours."""
    (root / "other").mkdir()
    command = [sys.executable, "-c", HOLD]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with (
        subprocess.Popen(command, **pipes) as killed,
        subprocess.Popen(command, **pipes) as alive,
    ):
        left, used = (Path(one.stdout.readline().strip()) for one in (killed, alive))
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        assert (left / "rows").read_text() == "private"
        with Scratch() as path:
            assert set(root.iterdir()) == {root / "other", used, path}
        alive.stdin.close()
        assert alive.wait() == 0
    assert list(root.iterdir()) == [root / "other"]


def test_a_sweep_that_is_faster_than_the_lock(monkeypatch) -> None:
    """The folder that another process took for a left one is given up."""
    seen: list[Path] = []

    def swept(prefix):
        path = Path(made(prefix=prefix))
        if not seen:
            path.rmdir()
        seen.append(path)
        return str(path)

    made = tempfile.mkdtemp
    monkeypatch.setattr(tempfile, "mkdtemp", swept)
    with Scratch() as path:
        assert [path] == seen[1:]
        assert path.is_dir()


def test_a_file_system_without_locks(root, monkeypatch) -> None:
    """Folders work; none is removed that somebody may be using."""

    def refuse(*_):
        raise OSError

    monkeypatch.setattr(fcntl, "flock", refuse)
    with Scratch() as first, Scratch() as second:
        assert {first, second} == set(root.iterdir())
    assert list(root.iterdir()) == []


def test_a_full_disk_is_named(root) -> None:
    """Other failures stay what they are."""
    full, broken = OSError(errno.ENOSPC, "full"), OSError(errno.EIO, "broken")
    with pytest.raises(TryLaterError, match=f"{root} is full"), scratch.filling():
        raise full
    with pytest.raises(OSError, match="broken"), scratch.filling():
        raise broken


def test_links_and_folders_of_others_stay(root, monkeypatch) -> None:
    """Anybody may put things where temporary files are."""
    (root / "precious").mkdir()
    link = root / f"{scratch.prefix()}link"
    link.symlink_to(root / "precious")
    stranger = root / f"{scratch.prefix()}stranger"
    stranger.mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: stranger.stat().st_uid + 1)
    Scratch().close()
    assert {path.name for path in root.iterdir()} == {
        "precious",
        link.name,
        stranger.name,
    }
