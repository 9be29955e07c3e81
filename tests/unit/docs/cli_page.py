"""docs/reference/cli.md, written from the program: `python -m tests.unit.docs.cli_page` writes it anew."""

import inspect
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from typer import Typer
from typer.models import ArgumentInfo, OptionInfo

from services.cli.app import COMMANDS
from tests.unit.docs.pages import DOCS

PAGE = DOCS / "reference" / "cli.md"
HEAD = """# Commands

Each command reads its settings from `tianyu.toml` and the environment: see [settings](settings.md). Results go to
standard output, remarks and logs to standard error. The exit code is 0 for success, 1 for failure, 2 for arguments that
cannot be read, 130 after Ctrl-C. The keys of `--json` are in [JSON](json.md).

`tianyu --version` prints the version, the revision of the database's schema that it needs, and Python's version.
`tianyu --install-completion` lets the shell (bash, zsh, fish) complete commands, options and their values;
`tianyu --show-completion` prints what it would install. For a package or an image `_TIANYU_COMPLETE=source_bash tianyu`
(`source_zsh`, `source_fish`) prints it.

This page is written from the program by `python -m tests.unit.docs.cli_page`; a test fails where they differ.
"""
TYPE_NAMES = {int: "N", str: "TEXT", Path: "PATH", float: "X"}


def render() -> str:
    """The page."""
    return "\n".join([HEAD, *(_command(name, run) for name, run in _commands())])


def _commands() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Names and functions, those of groups after their group's name."""
    for name, entry in COMMANDS.items():
        found = entry.load(name)
        if not isinstance(found, Typer):
            yield name, found
            continue
        for command in found.registered_commands:
            assert command.callback is not None
            yield f"{name} {command.name}", command.callback


def _command(name: str, run: Callable[..., Any]) -> str:
    hints = get_type_hints(run, include_extras=True)
    arguments, rows = [], []
    for parameter in inspect.signature(run).parameters.values():
        assert get_origin(hints[parameter.name]) is Annotated, f"{name}: {parameter.name} has no help"
        kind, info = get_args(hints[parameter.name])[:2]
        if info.hidden:
            continue
        if isinstance(info, ArgumentInfo):
            shown = str(info.metavar or parameter.name.upper())
            arguments.append(shown if parameter.default is parameter.empty else f"[{shown}]")
            spelled = f"`{arguments[-1]}`"
        else:
            spelled = _option(parameter.name, kind, info, parameter.default)
        default = parameter.default
        hidden_default = default is parameter.empty or default is None or isinstance(default, bool)
        cells = (spelled, "" if hidden_default else f"`{default}`", info.help or "")
        rows.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    usage = " ".join(["tianyu", name, "[OPTIONS]", *arguments])
    lines = [f"## tianyu {name}", "", "```text", usage, "```", "", inspect.cleandoc(run.__doc__ or ""), ""]
    if rows:
        lines += ["| argument or option | default | meaning |", "| --- | --- | --- |", *rows, ""]
    return "\n".join(lines)


def _option(name: str, kind: Any, info: OptionInfo, default: Any) -> str:
    plain = [part for part in get_args(kind) if part is not NoneType] or [kind]
    kind = get_args(plain[0])[0] if get_origin(plain[0]) is list else plain[0]
    # Inside Annotated the first name stands where a default once stood.
    given = [one for one in (info.default, *(info.param_decls or ())) if isinstance(one, str)]
    spelled = given or ["--" + name.replace("_", "-")]
    if kind is bool:
        spelled += [] if given else [spelled[0].replace("--", "--no-", 1)]
        return ", ".join(f"`{one}`" for one in spelled) + (" (on)" if default else "")
    if get_origin(kind) is Literal or isinstance(kind, str):
        metavar = "|".join(plain if isinstance(kind, str) else get_args(kind))
    elif isinstance(kind, type) and issubclass(kind, StrEnum):
        metavar = str(info.metavar or "|".join(kind))
    else:
        metavar = str(info.metavar or TYPE_NAMES[kind])
    return ", ".join(f"`{one} {metavar}`" for one in spelled)


if __name__ == "__main__":
    PAGE.write_text(render())
