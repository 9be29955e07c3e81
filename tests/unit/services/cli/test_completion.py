"""Completion of command lines: complete, as each shell asks for it, and without a large package. And the version."""

import functools
import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from schema import revisions
from services.cli.app import COMMANDS, app

HEAVY = {"alembic", "astropy", "matplotlib", "numpy", "pika", "pydantic_settings", "scipy", "sqlalchemy", "structlog"}
GROUP: Any = typer.main.get_command(app)
PROGRAM = Path(sys.executable).with_name("tianyu")


def complete(*words: str) -> list[str]:
    """What bash is told of these words, the last of which is being typed."""
    asked = {"COMP_WORDS": "\n".join(["tianyu", *words]), "COMP_CWORD": str(len(words))}
    result = CliRunner().invoke(app, [], env=asked | {"_TIANYU_COMPLETE": "complete_bash"}, prog_name="tianyu")
    assert result.exit_code == 0, result.output
    return result.stdout.split()


@functools.cache
def lines() -> dict[tuple[str, ...], Any]:
    """Each command by its words, those of groups too."""
    found: dict[tuple[str, ...], Any] = {}
    for name in COMMANDS:
        command = GROUP.commands[name].load()
        found[(name,)] = command
        found |= {(name, inner): one for inner, one in getattr(command, "commands", {}).items()}
    return found


def test_all_commands_are_completed() -> None:
    assert complete("") == [*COMMANDS]
    assert complete("stat") == ["status"]
    assert sorted(complete("--")) == ["--help", "--install-completion", "--show-completion", "--version"]


@pytest.mark.parametrize("words", lines(), ids=" ".join)
def test_all_options_of_a_command_are_completed(words: tuple[str, ...]) -> None:
    command = lines()[words]
    named = [name for one in command.params for name in (*one.opts, *one.secondary_opts)]
    assert sorted(complete(*words, "--")) == sorted({*(one for one in named if one.startswith("--")), "--help"})
    if inner := getattr(command, "commands", None):
        assert complete(*words, "") == [*inner]


def test_values_that_are_known_are_completed() -> None:
    assert complete("graph", "4", "--format", "") == ["text", "dot", "svg"]


ASK_ALL = f"""
import sys
from typer.testing import CliRunner
from services.cli.app import app
for line in sys.stdin.read().splitlines():
    words = line.split(" ")
    asked = {{"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1), "_TIANYU_COMPLETE": "complete_bash"}}
    told = CliRunner().invoke(app, [], env=asked, prog_name="tianyu")
    assert told.exit_code == 0 and told.stdout, line
    assert not {HEAVY!r} & set(sys.modules), (line, {HEAVY!r} & set(sys.modules))
"""


def test_completion_waits_for_no_large_package() -> None:
    asked = ["tianyu ", *(f"tianyu {' '.join(words)} --" for words in lines())]
    done = subprocess.run(
        [sys.executable, "-c", ASK_ALL], input="\n".join(asked), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


BASH = """
eval "$(_TIANYU_COMPLETE=source_bash tianyu)"
COMP_WORDS=(tianyu calib li); COMP_CWORD=2
_tianyu_completion tianyu
printf '%s\\n' "${COMPREPLY[@]}"
"""


def run(*words: str, **environment: str) -> str:
    path = f"{PROGRAM.parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        words, env=os.environ | {"PATH": path} | environment, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_bash_completes() -> None:
    assert run("bash", "-c", BASH) == "list"


@pytest.mark.parametrize(
    ("shell", "answer"),
    [("zsh", '_arguments \'*: :(("list":'), ("fish", "list\t")],
)
def test_other_shells_are_told_in_their_words(shell: str, answer: str) -> None:
    asked = {"_TYPER_COMPLETE_ARGS": "tianyu calib li", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    told = run(str(PROGRAM), **asked, _TIANYU_COMPLETE=f"complete_{shell}")
    assert told.startswith(answer)
    script = run(str(PROGRAM), _TIANYU_COMPLETE=f"source_{shell}")
    assert f"_TIANYU_COMPLETE=complete_{shell}" in script


def test_the_version_names_program_schema_and_python() -> None:
    result = CliRunner().invoke(app, ["--version"])
    schema = revisions.NEWEST
    assert schema.isdecimal()
    assert result.stdout == f"tianyu {version('tianyu')}, schema {schema}, Python {platform.python_version()}\n"
    assert result.exit_code == 0
