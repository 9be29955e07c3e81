"""Commands are imported when they are asked for; what lists them knows their help without that."""

import inspect
import subprocess
import sys
from typing import Any

import pytest
import typer.main
from typer import Typer

from services.cli.app import COMMANDS, app

HEAVY = {"astropy", "matplotlib", "numpy", "scipy", "sqlalchemy"}
GROUP: Any = typer.main.get_command(app)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_table_has_the_help_of_the_command(name: str) -> None:
    found = COMMANDS[name].load(name)
    text = found.info.help if isinstance(found, Typer) else inspect.cleandoc(found.__doc__ or "")
    assert " ".join(text.split("\n\n")[0].split()) == COMMANDS[name].help


@pytest.mark.parametrize("name", COMMANDS)
def test_the_command_itself_is_loaded(name: str) -> None:
    context = GROUP.commands[name].make_context(name, [], resilient_parsing=True)
    assert context.command.name == name
    assert hasattr(context.command, "commands") == isinstance(COMMANDS[name].load(name), Typer)


def imported_by(*words: str) -> set[str]:
    """Of the heavy packages, those that a command line imports."""
    code = (
        f"import sys\nfrom services.cli.app import app\ntry:\n    app({list(words)!r})\n"
        f"finally:\n    print('imported', *({HEAVY!r} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    [line] = [line for line in done.stderr.splitlines() if line.startswith("imported")]
    return set(line.split()[1:])


@pytest.mark.parametrize("words", [["--help"], ["stats"]])
def test_help_waits_for_no_large_package(words: list[str]) -> None:
    assert imported_by(*words) == set()


def test_drawing_is_imported_by_what_draws() -> None:
    assert "matplotlib" not in imported_by("lightcurve", "--help")
    assert "matplotlib" not in imported_by("analyze", "--help")
    assert "sqlalchemy" in imported_by("lightcurve", "--help")
