"""Commands are imported when they are asked for; what lists them knows their help without that."""

import inspect
import os
import subprocess
import sys
from pathlib import Path
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


ASK = f"""
import sys
from typer.testing import CliRunner
from services.cli.app import app
for line in sys.stdin:
    CliRunner().invoke(app, line.split())
    print(line.strip(), "imported", *({HEAVY!r} & set(sys.modules)))
"""


def imported_by(*lines: str, **environment: str) -> dict[str, set[str]]:
    """Of the heavy packages, those that are there after each command line, one after the other in one program."""
    done = subprocess.run(
        [sys.executable, "-c", ASK],
        env=os.environ | environment,
        input="\n".join(lines),
        capture_output=True,
        text=True,
        check=True,
    )
    found = dict(line.split(" imported", 1) for line in done.stdout.splitlines())
    assert [*found] == [*lines]
    return {line: set(packages.split()) for line, packages in found.items()}


def test_the_list_of_commands_waits_for_no_large_package() -> None:
    assert imported_by("--help", "stats") == {"--help": set(), "stats": set()}


def test_no_help_computes_or_draws() -> None:
    groups = [f"{name} {one}" for name in COMMANDS for one in getattr(GROUP.commands[name].load(), "commands", ())]
    assert {"target add", "catalog fetch"} <= set(groups)
    found = imported_by(*(f"{words} --help" for words in [*COMMANDS, *groups]))
    assert {line: packages - {"sqlalchemy"} for line, packages in found.items()} == {line: set() for line in found}


def test_what_computes_is_told_from_what_does_not() -> None:
    refused = "simulate . --preset none-such"  # writes nothing
    assert "numpy" in imported_by(refused)[refused]


def test_who_knows_the_steps_waits_for_nothing_that_only_pixels_need(ready_sqlite_url: str, tmp_path: Path) -> None:
    """`publish`, `status` and their like: half a second of CPU each time."""
    there = {"TIANYU_DATABASE_URL": ready_sqlite_url, "TIANYU_ROOT": str(tmp_path), "TIANYU_BROKER_URL": "local://"}
    assert imported_by("status", "publish --all", "publish 1", **there)["publish 1"] == {"numpy", "sqlalchemy"}
