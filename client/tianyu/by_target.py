"""Words that are given by target, and the program's file of targets that says the same."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tianyu.errors import RunError

FILE = "targets.toml"  # in the folder of the results
DELETE = "\x7f"  # the one control character that JSON leaves as it is and TOML does not take
Table = dict[str, Any]


def bare(name: str) -> str:
    """A target's name without what spellings differ by, as the program compares them."""
    return "".join(name.casefold().split())


def targets_of(words: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    """Names of the targets that words are for: those that are reduced, else all that the words name.

    Raises:
        RunError: a word has one target twice, or no name.
    """
    given: dict[str, str] = {}
    for word, value in words.items():
        if isinstance(value, Mapping):
            for name in value:
                if not isinstance(name, str) or not bare(name):
                    raise RunError(f"{word} has {name!r}: expected the name of a target")
                given.setdefault(bare(name), name)
            if len({bare(name) for name in value}) != len(value):
                raise RunError(f"{word} has a target twice, in two spellings: {', '.join(map(repr, value))}")
    return list({bare(name): name for name in names}.values()) or list(given.values())


def own(value: Any, name: str) -> Any:
    """What a word says of one target; what is not by target holds for all."""
    if not isinstance(value, Mapping):
        return value
    return next((one for other, one in value.items() if bare(other) == bare(name)), None)


def tables(targets: Sequence[str], table_of: Callable[[str], Table]) -> dict[str, Table]:
    """A table for each target of which something is said."""
    found = {name: table_of(name) for name in targets}
    return {name: table for name, table in found.items() if table}


def file_of(by_target: Mapping[str, Table]) -> str:
    """The file's text: TOML, in which a JSON text or list is one too."""
    lines = []
    for name, table in by_target.items():
        lines += [f"[{_json(name)}]", *(f"{key} = {_json(value)}" for key, value in table.items()), ""]
    return "\n".join(lines)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False).replace(DELETE, "\\u007f")
