"""docs/reference/cli.md, written from the program: `python -m tests.unit.docs.cli_page` writes it anew."""

import inspect
from typing import Any

import typer.main

from services.cli.app import app
from tests.unit.docs.pages import DOCS

PAGE = DOCS / "reference" / "cli.md"
GROUP: Any = typer.main.get_command(app)
HEAD = """# Commands

Each command reads its settings from `tianyu.toml` and the environment: see [settings](settings.md). Results go to standard
output, remarks and logs to standard error. The exit code is 0 for success, 1 for failure, 2 for arguments that cannot be
read, 130 after Ctrl-C.

This page is written from the program by `python -m tests.unit.docs.cli_page`; a test fails where they differ.
"""


def render() -> str:
    """The page."""
    return "\n".join([HEAD, *(_command(name, command) for name, command in GROUP.commands.items())])


def _command(name: str, command: Any) -> str:
    parameters = [parameter for parameter in command.params if not getattr(parameter, "hidden", False)]
    arguments = [parameter for parameter in parameters if parameter.param_type_name == "argument"]
    usage = " ".join(["tianyu", name, "[OPTIONS]", *(_argument(parameter) for parameter in arguments)])
    lines = [f"## tianyu {name}", "", "```text", usage, "```", "", inspect.cleandoc(command.help), ""]
    if parameters:
        lines += ["| argument or option | default | meaning |", "| --- | --- | --- |"]
        lines += [_row(parameter) for parameter in parameters] + [""]
    return "\n".join(lines)


def _argument(parameter: Any) -> str:
    name = (parameter.metavar or parameter.name).upper()
    return str(name if parameter.required else f"[{name}]")


def _row(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        name = f"`{_argument(parameter)}`"
    else:
        metavar = "" if parameter.is_flag else f" {_metavar(parameter)}"
        name = ", ".join(f"`{option}{metavar}`" for option in (*parameter.opts, *parameter.secondary_opts))
    default = "" if parameter.default in (None, False) else f"`{_value(parameter.default)}`"
    cells = (name, default, parameter.help or "")
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _metavar(parameter: Any) -> str:
    choices = getattr(parameter.type, "choices", None)
    return str(parameter.metavar or ("|".join(choices) if choices else parameter.type.name.split()[0].upper()))


def _value(default: Any) -> str:
    return "on" if default is True else str(default)


if __name__ == "__main__":
    PAGE.write_text(render())
