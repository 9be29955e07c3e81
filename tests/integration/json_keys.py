"""What `--json` of each command answers: the keys, and the page that names them."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from tests.unit.docs.pages import DOCS

PAGE = DOCS / "reference" / "json.md"
KEY = re.compile(r"[a-z][a-z0-9_]*")
OPEN = "choices"  # what stands in it is called as the settings


def parse(text: str) -> Any:
    """All of standard output as one JSON value; what is no number in JSON is refused."""

    def refuse(word: str) -> float:
        raise ValueError(f"{word} is not JSON")

    return json.loads(text, parse_constant=refuse)


def keys_of(data: Any, before: str = "") -> Iterator[str]:
    """Paths of all keys: `observations[].commands[].command`."""
    if isinstance(data, list):
        for item in data:
            yield from keys_of(item, f"{before}[]")
    elif isinstance(data, dict):
        for key, value in data.items():
            assert KEY.fullmatch(key), key
            path = f"{before}.{key}".lstrip(".")
            yield path
            if key != OPEN:
                yield from keys_of(value, path)


def _in_block(block: str) -> Iterator[str]:
    """Lines are `path: key key …`, those of the whole without a path; further lines of one are indented."""
    for line in re.sub(r"\n +", " ", block).splitlines():
        before, _, keys = line.rpartition(": ")
        yield from (f"{before}.{key}".lstrip(".") for key in keys.split())


def documented() -> dict[str, set[str]]:
    """Keys by command; a heading of the page may name several."""
    found = re.findall(r"^## (tianyu .+?)\n(.*?)(?=^## |\Z)", PAGE.read_text(), re.M | re.S)
    blocks = {heading: re.findall(r"```text\n(.*?)```", body, re.S) for heading, body in found}
    keys = {heading: {key for block in parts for key in _in_block(block)} for heading, parts in blocks.items()}
    return {words: named for heading, named in keys.items() for words in heading.split(", ")}


def check(words: str, *answers: Any, besides: Iterable[str] = ()) -> None:
    """The answers' keys, and ``besides`` those of lists that are empty in them, are those that the page has."""
    found = {*besides}.union(*(keys_of(one) for one in answers))
    named = documented()[words]
    assert (sorted(found - named), sorted(named - found)) == ([], []), f"{words}: not on the page; on the page alone"
