"""Every command that the documentation shows is one that the program has, with options that it knows."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main

from services.cli.app import app
from tests.unit.docs.pages import CHECKOUT, PAGES, blocks, inline_code, name_of

GROUP: Any = typer.main.get_command(app)
OWN_OPTIONS = {name for one in GROUP.params for name in one.opts}  # of `tianyu` itself
PLACEHOLDER = re.compile(r"\b[A-Z][A-Z_]+\b")  # PID, RAW_DIR: a number is as good
COMPOSE_SERVICES = set(
    re.findall(r"^  ([a-z]+):$", (CHECKOUT / "docker-compose.yml").read_text().partition("\nservices:\n")[2], re.M)
)


def parse(words: list[str]) -> None:
    """Parse a command line as the program does, and run nothing."""
    name, *arguments = words
    if name in OWN_OPTIONS:
        assert not arguments
        return
    assert name in GROUP.commands, f"there is no command {name!r}"
    command = GROUP.commands[name].load()
    if hasattr(command, "commands") and arguments:
        name, *arguments = arguments
        assert name in command.commands, f"there is no command {' '.join(words[:2])!r}"
        command = command.commands[name]
    command.make_context(name, arguments)


def shown_commands(page: Path) -> list[str]:
    """Lines of shell blocks, continued lines joined, without prompts, remarks and the output of consoles."""
    lines = []
    for language in ("bash", "console"):
        for block in blocks(page, language):
            joined = block.replace("\\\n", " ")
            chosen = [line.strip() for line in joined.splitlines()]
            if language == "console":
                chosen = [line.removeprefix("$ ") for line in chosen if line.startswith("$ ")]
            lines += [line for line in chosen if line and not line.startswith("#")]
    return lines


def words_of(line: str) -> list[str]:
    """The words of a command without assignments before it, and without what the shell keeps for itself."""
    words = shlex.split(line.split("|")[0].rstrip("& "), comments=True)
    while words and re.match(r"[A-Z_]+=", words[0]):
        del words[0]
    return words[: words.index(">")] if ">" in words else words


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_in_blocks_can_be_parsed(page: Path) -> None:
    for line in shown_commands(page):
        match words_of(line):
            case ["tianyu", *rest]:
                parse(rest)
            case ["docker", "compose", *rest]:
                check_compose(rest)
            case ["make", *targets]:
                check_make(targets)


def check_compose(words: list[str]) -> None:
    verb = next(word for word in words if not word.startswith("-"))
    if verb == "run":
        service = next(place for place, word in enumerate(words) if word in COMPOSE_SERVICES)
        assert words[service] == "tianyu"
        parse(words[service + 1 :])
    for scale in re.findall(r"(\w+)=\d+", " ".join(words)):
        assert scale in COMPOSE_SERVICES


def check_make(targets: list[str]) -> None:
    makefile = (CHECKOUT / "Makefile").read_text()
    known = set(re.findall(r"^([a-z-]+):", makefile, re.M))
    variables = {target.split("=")[0] for target in targets if "=" in target}
    assert {target for target in targets if "=" not in target} - known == set()
    assert all(f"$({name})" in makefile for name in variables)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_in_the_text_can_be_parsed(page: Path) -> None:
    for code in inline_code(page):
        words = words_of(code) if re.match(r"([A-Z_]+=\S+ )*(tianyu|make)\b", code) else []
        if words[:1] == ["tianyu"] and len(words) == 2:
            assert words[1] in {*GROUP.commands, *OWN_OPTIONS}, f"there is no command {words[1]!r}"
        elif words[:1] == ["tianyu"] and len(words) > 2:
            parse([PLACEHOLDER.sub("1", word) for word in words[1:]])
        if words[:1] == ["make"]:
            check_make(words[1:])


@pytest.mark.parametrize("line", ["status --wai", "stats", "publish one", "simulate"])
def test_a_wrong_command_is_found(line: str) -> None:
    with pytest.raises(Exception, match=r"(?i)no such option|there is no command|valid|missing"):
        parse(line.split())
