"""Commands by name and help; a command's module is imported when the command is asked for, not to list it."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup


@dataclass(frozen=True)
class Entry:
    """Where a command is: module `<module>_command` has a function, or a `Typer` with more commands, of its name."""

    module: str
    help: str  # the first paragraph of its docstring

    def load(self, name: str) -> Any:
        """That function, or `Typer`."""
        return getattr(import_module(f"services.cli.{self.module}_command"), name)


class Later(TyperCommand):
    """Stands for a command in lists; whoever makes its context gets that of the command itself."""

    def __init__(self, name: str, entry: Entry) -> None:
        super().__init__(name, help=entry.help, rich_markup_mode="markdown")
        self._entry = entry

    def load(self) -> Any:
        """The command, or the group of commands, itself."""
        name = str(self.name)
        found = self._entry.load(name)
        if not isinstance(found, typer.Typer):
            command, found = found, typer.Typer(rich_markup_mode="markdown", add_completion=False)
            found.command(name)(command)
        return typer.main.get_command(found)

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        """The context of the command itself, its words parsed."""
        return self.load().make_context(*args, **kwargs)


def group_of(table: Mapping[str, Entry]) -> type[TyperGroup]:
    """A kind of group with the commands of a table, for `Typer(cls=...)`."""

    class Group(TyperGroup):
        def __init__(self, **attributes: Any) -> None:
            super().__init__(**attributes)
            self.commands = {name: Later(name, entry) for name, entry in table.items()}

    return Group
