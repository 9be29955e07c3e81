"""`run`: start the program `tianyu` with the words of QLCP and XZUT-80LCP, wait for it, and open what it made."""

import os
import re
import shutil
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tianyu import by_target
from tianyu.errors import RunError
from tianyu.opening import DATABASE_FILE, open
from tianyu.results import Results
from tianyu.words import Options, options_of

PROGRAM_VARIABLE = "PATH_TO_TIANYU"
LINES_KEPT = 40  # of what the program says, for an error's message
PATIENCE_S = 20.0  # that the program has to end after it was interrupted


def run(
    raw_dir: str | os.PathLike[str],
    red_dir: str | os.PathLike[str],
    *,
    plots: bool = True,
    program: str | os.PathLike[str] | None = None,
    tell: Callable[[str], None] | None = None,
    **words: Any,
) -> Results:
    """Reduce the frames of a folder with the program `tianyu`, in a process of its own, and open the results.

    Run again on the same folders, only what is missing is computed.

    Args:
        raw_dir: frames, in the folder and below it; they are not changed.
        red_dir: where database, images and plots go.
        plots: whether plots are drawn too.
        program: the program `tianyu`; None: what ``PATH_TO_TIANYU`` names, else beside this Python, else in PATH.
        tell: takes each line that the program says; None: they go to standard error.
        **words: those of QLCP (see `tianyu.words.options_of`) and all settings of Tianyu by their names.

    Raises:
        RunError: the program is not there, cannot do what is asked, or failed: the message has its own.
    """
    command = _program(program)
    options = options_of(words)
    if options.by_target:
        options.add("--targets", Path(red_dir).absolute() / by_target.FILE, "words by target")
    _require_known(command, options)
    if options.by_target:
        Path(red_dir).mkdir(parents=True, exist_ok=True)
        (Path(red_dir) / by_target.FILE).write_text(by_target.file_of(options.by_target), encoding="utf-8")
    arguments = [command, "run", os.fspath(raw_dir), "--workdir", os.fspath(red_dir), *options.arguments]
    arguments += ["--no-plots"] * (not plots)
    status, said = _follow(arguments, options.environment, tell or _to_stderr)
    if status:
        raise RunError(_message(said, status, Path(red_dir)))
    return open(red_dir)


def _program(given: str | os.PathLike[str] | None) -> str:
    named = os.fspath(given) if given is not None else os.environ.get(PROGRAM_VARIABLE)
    if named:
        if found := shutil.which(named):
            return found
        raise RunError(f"{named!r} is no program: expected the path of Tianyu's program `tianyu`")
    beside = shutil.which("tianyu", path=str(Path(sys.executable).parent))
    if found := beside or shutil.which("tianyu"):
        return found
    raise RunError(
        "the program `tianyu` is not in PATH: install Tianyu (pip install tianyu, in any environment), and name it by "
        f"run(…, program=…) or the variable {PROGRAM_VARIABLE}"
    )


def _require_known(program: str, options: Options) -> None:
    """Refuse before anything is made what this program does not know."""
    wanted = {argument.split("=")[0]: word for argument, word in options.needed.items()}
    if not wanted:
        return
    shown = subprocess.run(  # noqa: S603 - the program that was asked for
        [program, "run", "--help"], capture_output=True, text=True, check=False, env=_plain_environment()
    )
    if shown.returncode:
        raise RunError(f"{program} run --help failed: {shown.stderr.strip() or shown.stdout.strip()}")
    known = set(re.findall(r"--[a-z][a-z-]*", shown.stdout))
    if unknown := {option: word for option, word in wanted.items() if option not in known}:
        told = ", ".join(f"{word} ({option})" for option, word in unknown.items())
        raise RunError(
            f"this Tianyu cannot do yet what is asked: {told}; leave it out, or use a newer Tianyu ({program})"
        )


def _plain_environment() -> dict[str, str]:
    """A wide terminal without colours, so that words stand whole."""
    return {**os.environ, "COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb", "PYTHONUNBUFFERED": "1"}


def _follow(
    arguments: Sequence[str], environment: Mapping[str, str], tell: Callable[[str], None]
) -> tuple[int, list[str]]:
    """Run to the end; returns the exit code and the last lines. An interrupt ends the program too."""
    said: deque[str] = deque(maxlen=LINES_KEPT)
    with subprocess.Popen(  # noqa: S603 - the program that was asked for
        arguments,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
        env={**_plain_environment(), **environment},
    ) as process:
        assert process.stdout is not None
        try:
            for line in _lines(process.stdout):
                said.append(line)
                tell(line)
        except BaseException:
            process.terminate()
            killer = threading.Timer(PATIENCE_S, process.kill)
            killer.start()
            process.wait()
            killer.cancel()
            raise
        return process.wait(), list(said)


def _lines(stream: Iterable[str]) -> Iterable[str]:
    for line in stream:
        if stripped := line.rstrip():
            yield stripped


def _to_stderr(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _message(said: Sequence[str], status: int, folder: Path) -> str:
    errors = [line for line in said if line.startswith("error:")]
    told = "\n".join(errors or said or ["it said nothing"])
    where = ""
    if (folder / DATABASE_FILE).is_file():
        where = f"\nWhat was made is there: tianyu.open({os.fspath(folder)!r})"
    return f"tianyu ended with exit code {status}:\n{told}{where}"
