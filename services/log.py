"""Logging: structlog to standard error, as text for people or JSON for machines."""

import logging
import sys
from collections.abc import MutableMapping
from contextlib import AbstractContextManager
from typing import Any

import structlog

from schema.attempts import Claim
from services.shown import shown


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
