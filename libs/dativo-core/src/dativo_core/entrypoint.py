"""Run a Singer plugin's command line and end with a line and a code people can use."""

from __future__ import annotations

import errno
import logging
import os
import signal
import sys
import typing as t

import click

from dativo_core import logs
from dativo_core.errors import (
    ConfigurationError,
    DativoError,
    ExitCode,
    TryLaterError,
)

if t.TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

    from singer_sdk.plugin_base import PluginBase


REPEAT_SECONDS = 1.0


def run(plugin: type[PluginBase], arguments: Sequence[str] | None = None) -> t.NoReturn:
    """Run the plugin as a command and exit with one of `ExitCode`."""
    logs.configure(plugin.name)
    for number in (signal.SIGINT, signal.SIGTERM):
        # The plugin sets its own, but not before it has read its settings.
        signal.signal(number, terminate)
    command = plugin.get_singer_command()
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        sys.exit(guarded(lambda: _invoke(command, plugin.name, given)))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _invoke(command: click.Command, name: str, arguments: list[str]) -> t.Any:
    # Not main(): it makes a closed pipe exit code 1, and Ctrl-C an exception.
    try:
        with command.make_context(name, arguments) as context:
            return command.invoke(context)
    except click.exceptions.Exit as leave:
        return leave.exit_code


def guarded(work: t.Callable[[], t.Any]) -> int:
    """Do the work; log what a person needs to know of a failure; return the code."""
    try:
        result = work()
    except Exception as exception:  # noqa: BLE001 the last place that can explain it
        return _report(exception)
    return result if isinstance(result, int) else ExitCode.COMPLETE


def terminate(signum: int, _frame: FrameType | None = None) -> t.NoReturn:
    """Leave at once with the code of the signal: a cut run is never a success.

    The SDK's own handlers exit 0 (https://github.com/meltano/sdk/issues/3775).
    """

    def leave(*_: t.Any) -> t.NoReturn:
        raise SystemExit(128 + signum)

    # Python drops an exception that a signal raises inside a finaliser or an import
    # from C, and the process would read on: say it again until it is heard.
    signal.signal(signal.SIGALRM, leave)
    signal.setitimer(signal.ITIMER_REAL, REPEAT_SECONDS, REPEAT_SECONDS)
    name = signal.Signals(signum).name
    logs.write_at_once(logging.WARNING, f"Stopped by {name} before the end.", __name__)
    leave()


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
        extra={"exit_code": int(error.exit_code), "error": type(error).__name__},
    )
    return error.exit_code


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
        # Not json's: the SDK reads files with simplejson, where that is installed.
        case ValueError() if type(exception).__name__ == "JSONDecodeError":
            return ConfigurationError(
                f"A file given on the command line is not JSON: {exception}.",
                hint="Check --config, --catalog and --state.",
            )
    return None


def _explain_file(error: OSError) -> DativoError | None:
    if error.errno == errno.ENOSPC:
        return TryLaterError(f"{error}.", hint="Make room, then run again.")
    # The SDK raises FileExistsError for a file that does not exist.
    if isinstance(error, (FileNotFoundError, FileExistsError)):
        hint = "Check the path given on the command line."
        return ConfigurationError(f"{str(error).rstrip('.')}.", hint=hint)
    return None


def _silence_stdout() -> None:
    # Python flushes stdout at exit and would complain about the pipe once more.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
