"""Logging: structlog to standard error, as text for people or JSON for machines; libraries speak the same way."""

import logging
import sys
import warnings
from collections.abc import MutableMapping
from contextlib import AbstractContextManager
from typing import Any, TextIO

import structlog

from schema.attempts import Claim
from services.shown import shown

LEVELS = (logging.CRITICAL, logging.ERROR, logging.WARNING, logging.INFO, logging.DEBUG)


class _CurrentStderr:
    """Whatever standard error is when a line is written: loggers outlive a redirection."""

    def write(self, text: str) -> None:
        sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


def configure(log_format: str = "text", level: str = "INFO") -> None:
    """Set up logging for this process."""
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            # JSON escapes by itself.
            *([] if log_format == "json" else [_as_shown]),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.PrintLoggerFactory(_CurrentStderr()),  # type: ignore[arg-type]
        cache_logger_on_first_use=True,
    )
    for library in ("pika", "sqlalchemy.pool"):  # what they say arrives here as exceptions
        logging.getLogger(library).setLevel(logging.CRITICAL)
    hear_libraries()


class _Handler(logging.Handler):
    """Says what libraries log as a line of ours, which names the attempt in whose course it was."""

    def emit(self, record: logging.LogRecord) -> None:
        level = next((level for level in LEVELS if level <= record.levelno), logging.DEBUG)
        facts = {"exc_info": record.exc_info} if record.exc_info else {}
        get_logger(record.name).log(level, record.getMessage(), **facts)


_HANDLER = _Handler()


def hear_libraries() -> None:
    """Take over what libraries log and warn of; to be called again when astropy, which goes its own way, is loaded."""
    logging.getLogger().addHandler(_HANDLER)  # which is there once, however often it is added
    if "astropy" in sys.modules:
        logging.getLogger("astropy").handlers.clear()
    warnings.showwarning = _warn


def _warn(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,  # noqa: ARG001
    line: str | None = None,  # noqa: ARG001
) -> None:
    get_logger("warnings").warning(str(message), category=category.__name__, where=f"{filename}:{lineno}")


def _as_shown(_logger: Any, _method: str, facts: MutableMapping[str, Any]) -> dict[str, Any]:
    """A line's facts without what would be a command to the terminal that shows it."""
    return {name: shown(value) if isinstance(value, str) else value for name, value in facts.items()}


def get_logger(name: str) -> Any:
    """A logger bound to the name of its room."""
    return structlog.get_logger(room=name)


def context(**facts: Any) -> AbstractContextManager[None]:
    """Every line that this thread logs inside, by whatever logger, has these facts too."""
    return structlog.contextvars.bound_contextvars(**facts)


def facts_of(claim: Claim) -> dict[str, Any]:
    """What a line of an attempt says of it: PID, command, attempt, and the observation where there is one."""
    facts = {"pid": claim.pid, "command": claim.command, "attempt": claim.attempt}
    return facts if claim.observation_id is None else facts | {"observation_id": claim.observation_id}
