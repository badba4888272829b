"""Log one JSON object a line on stderr, in the shape Meltano's parser reads."""

from __future__ import annotations

import contextlib
import json
import logging
import logging.config
import os
import sys
import threading
import typing as t
from pathlib import Path

import yaml
from singer_sdk.logging import StructuredFormatter

from dativo_core.redaction import SecretFilter

if t.TYPE_CHECKING:
    from collections.abc import Iterator

SECRETS = SecretFilter()
# What has a fixed set of values, which a secret may look like.
_FIXED_PARTS = frozenset(
    {"level", "pid", "logger_name", "ts", "thread_name", "app_name"}
)
# The SDK says that a stream failed, but not why; the last line of a run says both.
_ECHO = "An unhandled error occurred while syncing '%s'"


class JsonLines(StructuredFormatter):
    """The SDK's structured format, with secrets masked in tracebacks too."""

    def format(self, record: logging.LogRecord) -> str:
        """Render one log record as a line of JSON."""
        # Part by part: a secret with quotes looks different in the line as a whole.
        line = json.loads(super().format(record))
        said = {n: part for n, part in line.items() if n not in _FIXED_PARTS}
        return json.dumps(line | SECRETS.mask_all(said), separators=(",", ":"))


class PlainLines(logging.Formatter):
    """Messages for people, with secrets masked in tracebacks too."""

    def format(self, record: logging.LogRecord) -> str:
        """Render one log record."""
        return SECRETS.mask(super().format(record))


def configure(plugin: str) -> None:
    """Send all logs to stderr as JSON lines.

    The level is that of the configuration which Meltano names in
    `SINGER_SDK_LOG_CONFIG`, else of `<PLUGIN>_LOGLEVEL` or `LOGLEVEL`.
    """
    handler = logging.StreamHandler(sys.stderr)
    logging.basicConfig(level=_level(plugin), handlers=[handler], force=True)
    orchestrator_config = Path(os.environ.get("SINGER_SDK_LOG_CONFIG", ""))
    if orchestrator_config.is_file():
        chosen = yaml.safe_load(orchestrator_config.read_text())
        # Or the loggers of all that is imported already would fall silent.
        logging.config.dictConfig({**chosen, "disable_existing_loggers": False})
    for each in _handlers():
        each.setFormatter(JsonLines(defaults={"app_name": plugin}))
        each.addFilter(lambda record: record.msg != _ECHO)
        each.addFilter(SECRETS)
    logging.captureWarnings(capture=True)
    _log_uncaught()


def _handlers() -> Iterator[logging.Handler]:
    """Yield all handlers: also loggers below the root may have some of their own."""
    named = logging.Logger.manager.loggerDict.values()
    for logger in (logging.getLogger(), *named):
        if isinstance(logger, logging.Logger):
            yield from logger.handlers


def configure_for_people() -> None:
    """Print warnings and errors as plain lines: for commands, not for pipelines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(SECRETS)
    handler.setFormatter(PlainLines("%(message)s"))
    level = _level("dativo") if "LOGLEVEL" in os.environ else logging.WARNING
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    _log_uncaught()


def _log_uncaught() -> None:
    """Let what nobody catches go through the log, which masks it."""
    logger = logging.getLogger(__name__)

    def say(error: BaseException | None, where: str) -> None:
        traceback = error if is_debug() else None
        kind = type(error).__name__
        logger.error("%s in %s: %s", kind, where, error, exc_info=traceback)

    sys.excepthook = lambda _, error, __: say(error, "the main thread")
    threading.excepthook = lambda raised: say(raised.exc_value, "a thread")
    sys.unraisablehook = lambda raised: say(raised.exc_value, "a clean-up")


def write_at_once(level: int, message: str, name: str) -> None:
    """Write a line past all buffers: in a signal handler those may be in use.

    If nobody reads it any more, that must not change how the process ends.
    """
    record = logging.LogRecord(name, level, "", 0, message, None, None)
    handlers = logging.getLogger().handlers
    line = handlers[0].format(record) if handlers else message
    with contextlib.suppress(OSError):
        os.write(2, f"{line}\n".encode())


def is_debug() -> bool:
    """Tell whether a person asked for tracebacks."""
    return logging.getLogger().isEnabledFor(logging.DEBUG)


def _level(plugin: str) -> int:
    prefix = plugin.upper().replace("-", "_")
    name = os.environ.get(f"{prefix}_LOGLEVEL") or os.environ.get("LOGLEVEL") or "INFO"
    number: t.Any = logging.getLevelName(name.upper())
    return number if isinstance(number, int) else logging.INFO
