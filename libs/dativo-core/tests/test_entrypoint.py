"""Every way to end has its code and its line."""

from __future__ import annotations

import errno
import logging
import signal

import click
import pytest
from dativo_core import entrypoint, errors
from dativo_core.entrypoint import guarded
from dativo_core.errors import ExitCode
from simplejson import JSONDecodeError
from singer_sdk.configuration._dict_config import parse_environment_config

CODES = [
    (errors.ConfigurationError("x"), 78),
    (errors.CredentialsError("x"), 77),
    (errors.TryLaterError("x"), 75),
    (errors.IncompleteError("x"), 75),
    (errors.NotPermittedError("x"), 77),
    (errors.RefusedError("x"), 1),
    (errors.GoneError("x"), 1),
    (errors.DataLimitError("x"), 65),
    (errors.FencedError("x"), 3),
    (errors.DativoError("x"), 1),
    (click.UsageError("no such option"), 78),
    (FileNotFoundError(2, "missing"), 78),
    (FileExistsError("File at 'x' was not found."), 78),
    (IsADirectoryError(21, "Is a directory"), 78),
    (NotADirectoryError(20, "Not a directory"), 78),
    (OSError(errno.ENOSPC, "full"), 75),
    (OSError(errno.EMFILE, "Too many open files"), 75),
    (OSError(errno.EIO, "broken"), 1),
    (JSONDecodeError("bad", "{", 0), 78),
    (ValueError("bug"), 1),
    (RecursionError(), 1),
]


def _raise(exception):
    raise exception


@pytest.mark.parametrize(("exception", "code"), CODES)
def test_code_and_one_line(caplog, exception, code) -> None:
    """A failure is one error line without traceback, and its code."""
    caplog.set_level(logging.INFO)
    assert code == guarded(lambda: _raise(exception))
    (line,) = caplog.records
    assert (line.levelname, line.exc_info) == ("ERROR", None)
    assert ("This is a bug" in line.getMessage()) == (
        code == ExitCode.BUG and not isinstance(exception, errors.DativoError)
    )


def test_not_before_is_a_field_of_the_line(caplog) -> None:
    """An orchestrator can read when to come back; without a time there is no field."""
    error = errors.TryLaterError("x")
    guarded(lambda: _raise(error))
    error.not_before = 1_800_000_000.5
    guarded(lambda: _raise(error))
    first, second = caplog.records
    assert not hasattr(first, "not_before")
    assert second.not_before == 1_800_000_000


@pytest.mark.parametrize("text", ["abc", ""])
def test_a_variable_that_is_no_number_is_named(caplog, monkeypatch, text) -> None:
    """The SDK reads the environment before settings are checked."""
    schema = {"properties": {"workers": {"type": ["integer", "null"]}}}
    monkeypatch.setenv("TAP_X_WORKERS", text)
    assert guarded(lambda: parse_environment_config(schema, "TAP_X_")) == 78
    assert "TAP_X_WORKERS in the environment is no whole number" in caplog.text


def test_settings_in_place_of_their_file_are_not_shown(caplog) -> None:
    """Nobody knows yet which of them are secret."""
    given = """File at '{"api_key": "sk_canary"}' was not found."""
    for error in (FileExistsError(given), OSError(errno.ENAMETOOLONG, "long", given)):
        assert guarded(lambda error=error: _raise(error)) == 78
    assert "canary" not in caplog.text
    assert "Write the JSON to a file" in caplog.text


@pytest.mark.parametrize(("result", "code"), [(None, 0), (7, 7), ("x", 0)])
def test_result(result, code) -> None:
    """Work that returns a code ends with it, any other with 0."""
    assert code == guarded(lambda: result)


def test_closed_pipe_silences_stdout(monkeypatch) -> None:
    """A reader that went away is a 75, and Python may not complain at exit."""
    silenced = []
    monkeypatch.setattr(entrypoint, "_silence_stdout", lambda: silenced.append(1))
    assert (guarded(lambda: _raise(BrokenPipeError())), silenced) == (75, [1])


class Plugin:
    """As much of an SDK plugin as the command line needs."""

    name = "plugin"

    @staticmethod
    def get_singer_command():
        @click.command()
        @click.option("--number", type=int, default=0)
        def command(number):
            return number

        return command


@pytest.fixture(autouse=True)
def _restored():
    root = logging.getLogger()
    before = root.handlers[:], root.level
    actions = {number: signal.getsignal(number) for number in (2, 15)}
    yield
    root.handlers[:], root.level = before
    logging.captureWarnings(capture=False)
    for number, action in actions.items():
        signal.signal(number, action)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [([], 0), (["--number", "5"], 5), (["--help"], 0), (["x"], 78)],
)
def test_run(arguments, code) -> None:
    """The command's own result, its help and its complaints become exit codes."""
    with pytest.raises(SystemExit) as caught:
        entrypoint.run(Plugin, arguments)
    assert code == caught.value.code


def test_message_is_what_and_hint() -> None:
    """An error reads as one text, and keeps its parts."""
    error = errors.TryLaterError("It failed.", hint="Run again.")
    assert str(error) == "It failed. Run again."
    assert (error.what, error.hint) == ("It failed.", "Run again.")
