"""What all commands share: the terminal, the settings, and how errors are shown."""

import functools
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any, ParamSpec, TypeVar

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from services import log
from services.errors import TianyuError
from services.settings import Settings, load

P = ParamSpec("P")
R = TypeVar("R")

EXIT_FAILED = 1
EXIT_INTERRUPTED = 130
PIPE_WIDTH = 500  # characters

ForceOption = Annotated[bool, typer.Option("--force", help="Write over a database, a frame, or whatever is there.")]

# Without a terminal nobody sees a line's end: in files and pipes tables are not squeezed into 80 columns.
out = Console(highlight=False, width=None if sys.stdout.isatty() else PIPE_WIDTH)
err = Console(stderr=True, highlight=False, width=None if sys.stderr.isatty() else PIPE_WIDTH)


def friendly(command: Callable[P, R]) -> Callable[P, R]:
    """Show errors that Tianyu raises on purpose as one sentence, and Ctrl-C as what it is."""

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except TianyuError as error:
            show_error(str(error))
        except KeyboardInterrupt:
            err.print("interrupted")
            raise typer.Exit(EXIT_INTERRUPTED) from None
        except BrokenPipeError:  # `tianyu status | head`
            sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115 - for the interpreter's last flush
        except OSError as error:
            show_error(f"{error}; check that the disk has room and that you may read and write there")
        except Exception as error:
            _show_database_error(error)
        raise typer.Exit(EXIT_FAILED)

    return wrapped


def _show_database_error(error: Exception) -> None:
    """Database errors in the driver's own words; anything else is a bug and keeps its traceback."""
    from sqlalchemy.exc import DBAPIError  # `tianyu run` must not wait for it before its consumers start

    if not isinstance(error, DBAPIError):
        raise error
    show_error(f"the database failed: {error.orig}; `tianyu doctor` looks closer")


def show_error(message: str) -> None:
    """Print an error; nothing in it is taken for markup."""
    err.print("[bold red]error:[/]", end=" ")
    err.print(message, markup=False, soft_wrap=True)


def note(message: str) -> None:
    """Print a remark to standard error, so that standard output stays what was asked for."""
    err.print(message, style="dim", markup=False, soft_wrap=True)


def start(**overrides: Any) -> Settings:
    """Settings and logging of a command."""
    settings = load(**overrides)
    log.configure(settings.log_format, settings.log_level)
    return settings


def progress() -> Progress:
    """Progress bars in the style of all commands; without a terminal they stay silent."""
    return Progress(
        TextColumn("{task.description:<20}"),
        BarColumn(bar_width=36),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("[red]{task.fields[note]}"),
        console=err,
        disable=not err.is_terminal,
    )


@contextmanager
def counting(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar for one work; the function that it gives is told how much is done, and of how much."""
    with progress() as bars:
        task = bars.add_task(what, note="")
        yield lambda done, total: bars.update(task, completed=done, total=total)
