"""Run a command line and end with a line and a code that people can use."""

from __future__ import annotations

import errno
import logging
import os
import re
import sys
import typing as t

import click

from dativo_core import logs, signals
from dativo_core.errors import (
    ConfigurationError,
    DativoError,
    ExitCode,
    TryLaterError,
)

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from singer_sdk.plugin_base import PluginBase


_WRONG_PATHS = (
    FileNotFoundError,
    FileExistsError,
    IsADirectoryError,
    NotADirectoryError,
)


def run(plugin: type[PluginBase], arguments: Sequence[str] | None = None) -> t.NoReturn:
    """Run the plugin as a command and exit with one of `ExitCode`."""
    logs.configure(plugin.name)
    # The plugin sets its own handlers, but not before it has read its settings.
    run_command(plugin.get_singer_command(), plugin.name, arguments)


def run_command(
    command: click.Command, name: str, arguments: Sequence[str] | None = None
) -> t.NoReturn:
    """Run any command and exit with one of `ExitCode`."""
    signals.install()
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        sys.exit(guarded(lambda: _invoke(command, name, given)))
    finally:
        signals.settle()


def _invoke(command: click.Command, name: str, arguments: list[str]) -> t.Any:
    # Not main(): it makes a closed pipe exit code 1, and Ctrl-C an exception.
    try:
        with command.make_context(name, arguments) as context:
            return command.invoke(context)
    except click.exceptions.Exit as leave:
        return leave.exit_code
    finally:
        # At exit it would be too late: a closed pipe would be exit code 120.
        sys.stdout.flush()


def guarded(work: t.Callable[[], t.Any]) -> int:
    """Do the work; log what a person needs to know of a failure; return the code."""
    try:
        result = work()
    except Exception as exception:  # noqa: BLE001 the last place that can explain it
        return _report(exception)
    return result if isinstance(result, int) else ExitCode.COMPLETE


def _report(exception: Exception) -> int:
    error = explain(exception)
    logger = logging.getLogger(__name__)
    traceback = exception if logs.is_debug() else None
    if error is None:
        logger.error(
            "Unexpected %s: %s. This is a bug; LOGLEVEL=debug shows where.",
            type(exception).__name__,
            exception,
            exc_info=traceback,
        )
        return ExitCode.BUG
    logger.error(
        "%s",
        error,
        exc_info=traceback,
        extra=_facts(error),
    )
    return error.exit_code


def _facts(error: DativoError) -> dict[str, t.Any]:
    facts = {"exit_code": int(error.exit_code), "error": type(error).__name__}
    if isinstance(error, TryLaterError) and error.not_before is not None:
        return {**facts, "not_before": int(error.not_before)}
    return facts


def explain(exception: Exception) -> DativoError | None:
    """Translate failures of the command line itself; None for what nobody expected."""
    match exception:
        case DativoError():
            return exception
        case click.ClickException():
            return ConfigurationError(
                exception.format_message(), hint="See --help for the options."
            )
        case BrokenPipeError():
            _silence_stdout()
            return TryLaterError(
                "The reader of the output closed the pipe.",
                hint="Look at the target's own last message.",
            )
        case OSError():
            return _explain_file(exception)
        case ValueError():
            return _explain_value(exception)
    return None


def _explain_value(error: ValueError) -> DativoError | None:
    # Not json's: the SDK reads files with simplejson, where that is installed.
    if type(error).__name__ == "JSONDecodeError":
        msg = f"A file given on the command line is not JSON: {error}."
        return ConfigurationError(msg, hint="Check --config, --catalog and --state.")
    if variable := _unread_variable(error):
        msg = f"{variable} in the environment is no whole number."
        hint = "Correct it, or remove it if it is to have no value."
        return ConfigurationError(msg, hint=hint)
    return None


def _unread_variable(error: ValueError) -> str:
    """Name the variable that the SDK could not read: it does so before any check."""
    step = error.__traceback__
    while step is not None and step.tb_next is not None:
        step = step.tb_next
    if step is None or step.tb_frame.f_code.co_name != "parse_environment_config":
        return ""
    return str(step.tb_frame.f_locals.get("env_var_name", ""))


def _explain_file(error: OSError) -> DativoError | None:
    if error.errno == errno.ENOSPC:
        return TryLaterError(f"{error}.", hint="Make room, then run again.")
    if error.errno in {errno.EMFILE, errno.ENFILE}:
        hint = "Allow more of them, as with ulimit -n 65536, then run again."
        return TryLaterError(f"{error}.", hint=hint)
    # Someone who gives settings in place of their file shows a secret, perhaps.
    if re.search(r"{\s*\"", str(error)):
        msg = "What is given on the command line is no path."
        hint = "Write the JSON to a file, and give the file's path."
        return ConfigurationError(msg, hint=hint)
    # The SDK raises FileExistsError for a file that does not exist.
    if isinstance(error, _WRONG_PATHS):
        hint = "Check the path given on the command line."
        return ConfigurationError(f"{str(error).rstrip('.')}.", hint=hint)
    return None


def _silence_stdout() -> None:
    # Python flushes stdout at exit and would complain about the pipe once more.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
