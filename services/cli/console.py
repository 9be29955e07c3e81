"""What all commands share: the terminal, the settings, and how errors are shown."""

import functools
import math
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ParamSpec, TypeVar

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from services.errors import TianyuError
from services.shown import shown

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from services.settings import Settings

P = ParamSpec("P")
R = TypeVar("R")

EXIT_FAILED = 1
EXIT_INTERRUPTED = 130
PIPE_WIDTH = 500  # characters

LARGE_NUMBERS = re.compile(r"(^|_)pids?$|gaia.*_id$")

JsonOption = Annotated[bool, typer.Option("--json", help="For machines: JSON, and nothing else on standard output.")]
ForceOption = Annotated[bool, typer.Option("--force", help="Write over a database, a frame, or whatever is there.")]


class Terminal(Console):
    """Standard output or error, for text from anywhere: nothing in it is markup, an emoji's name or an escape code.

    What shall have a colour is a `Text` or has a ``style``.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, markup=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Strings as they may be shown, before a table measures them."""
        return super().render_str(shown(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The same of all else that is printed; rich's own control codes stand in segments of their own."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=shown(segment.text))

    def print_json(self, json: str | None = None, *, data: Any = None, **options: Any) -> None:
        """Data as JSON: the numbers of processes and of Gaia's sources as text, what is no number as null."""
        super().print_json(json, data=_with_texts(data), **options)


def _with_texts(data: Any, name: str = "") -> Any:
    """Numbers that go by these names are greater than 2^53: JavaScript and jq would round them."""
    if isinstance(data, dict):
        return {key: _with_texts(value, str(key)) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_with_texts(value, name) for value in data]
    if isinstance(data, float) and not math.isfinite(data):
        return None  # JSON has no word for it
    return str(data) if type(data) is int and LARGE_NUMBERS.search(name) else data


# Without a terminal nobody sees a line's end: in files and pipes tables are not squeezed into 80 columns.
out = Terminal(width=None if sys.stdout.isatty() else PIPE_WIDTH)
err = Terminal(stderr=True, width=None if sys.stderr.isatty() else PIPE_WIDTH)


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
    """Print an error."""
    err.print("error:", style="bold red", end=" ")
    err.print(message, soft_wrap=True)


def note(message: str) -> None:
    """Print a remark to standard error, so that standard output stays what was asked for."""
    err.print(message, style="dim", soft_wrap=True)


def say(text: str) -> None:
    """Print a file's content to standard output: as it is into files and pipes, as it may be shown on a terminal."""
    typer.echo(shown(text) if sys.stdout.isatty() else text, nl=False)


def start(**overrides: Any) -> "Settings":
    """Settings and logging of a command."""
    from services import log  # who completes a command line waits for neither of them
    from services.settings import load

    settings = load(**overrides)
    log.configure(settings.log_format, settings.log_level)
    return settings


@contextmanager
def reading(settings: "Settings") -> "Iterator[Session]":
    """A session that reads the database."""
    from schema import database
    from services.setup import open_database

    with database.reading_factory(open_database(settings))() as session:
        yield session


def table_of(*headings: str, right: Sequence[str] = (), wrapped: Sequence[str] = (), title: str | None = None) -> Table:
    """An empty table in the style of all commands; numbers stand at the ``right``, long texts are ``wrapped``."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), title=title, caption_justify="left")
    for heading in headings:
        table.add_column(heading, justify="right" if heading in right else "left", no_wrap=heading not in wrapped)
    return table


def print_paths(paths: Iterable[Path]) -> None:
    """Print files, one a line and nothing else in it."""
    for path in paths:
        out.print(str(path), soft_wrap=True)


def progress() -> Progress:
    """Progress bars in the style of all commands; without a terminal they stay silent."""
    return Progress(
        TextColumn("{task.description:<20}", markup=False),
        BarColumn(bar_width=36),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}", "red", markup=False),
        console=err,
        disable=not err.is_terminal,
    )


@contextmanager
def counting(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar for one work; the function that it gives is told how much is done, and of how much."""
    with progress() as bars:
        task = bars.add_task(what, note="")
        yield lambda done, total: bars.update(task, completed=done, total=total)
