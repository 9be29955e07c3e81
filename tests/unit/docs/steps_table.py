"""The table of steps in docs/architecture.md, written from their facts: `python -m tests.unit.docs.steps_table`."""

import re

from schema.observing import LIGHT
from schema.processes import CAPTURE
from services.steps import COMMANDS, ORDER, STEPS
from services.steps.shared.needs import OWN, Each, Need, Wait
from services.steps.shared.step import MADE_BY, AnyStep
from tests.unit.docs.pages import DOCS

PAGE = DOCS / "architecture.md"
HEADING = "## The graph of an observation"
HEAD = "| command | how many | needs | makes | gives |\n| --- | --- | --- | --- | --- |\n"
TABLE = re.compile(rf"(?<={re.escape(HEADING)}\n\n)(?:\|.*\n)+")


def render() -> str:
    """The table."""
    rows = [_row(step) for step in ORDER if step.kind is not None or step.opens or step.command == CAPTURE]
    return HEAD + "".join(f"| {' | '.join(row)} |\n" for row in rows)


def page() -> str:
    """The page with the table in its place."""
    return TABLE.sub(lambda _: render(), PAGE.read_text())


def _row(step: AnyStep) -> tuple[str, ...]:
    makes = [*step.partial, *step.makes, *step.copies, *(table.__tablename__ for table in step.tables)]
    return f"`{step.command}`", _how_many(step), _needs(step), ", ".join(f"`{name}`" for name in makes), step.gives


def _how_many(step: AnyStep) -> str:
    if step.command == CAPTURE:
        return "one a planned frame"
    if step.kind is None:
        return "one an image that travels"
    if step.each is Each.FRAME:
        return f"one a {_frame(step)}"
    if step.each is Each.METHOD:
        return "one a method"
    if step.each is Each.TREE:
        return "tree"
    return "1 or none" if _may_lack(step) else "1"


def _may_lack(step: AnyStep) -> bool:
    """Whether the choices can leave it out, or something that it requires."""
    required = [STEPS[need.commands[0]] for need in step.needs_on(OWN) if need.wait is Wait.REQUIRED]
    return step.wanted is not None or any(_may_lack(other) for other in required)


def _frame(step: AnyStep) -> str:
    return "frame" if step.kind == LIGHT else str(step.kind)


def _needs(step: AnyStep) -> str:
    if step.command == CAPTURE:
        return "the `capture` before it (optional)"
    if step.kind is None:
        return " or ".join(f"`{MADE_BY[kind]}`" for kind in step.opens)
    needs = [need for need in step.needs_on(OWN) if need.wait is not Wait.NOT]
    parts = [_frame(step)] if step.takes_frame else []
    parts += [f"{step.kind} frames"] if step.each is Each.TREE and step.kind != LIGHT else []
    parts += [_named(step, need) for need in needs if need.wait is Wait.REQUIRED]
    groups = [", ".join(parts)]
    for wait, how in (
        (Wait.WHERE_THERE, "where there are any"),
        (Wait.SOME, "one or more"),
        (Wait.OPTIONAL, "optional"),
    ):
        named = ", ".join(_named(step, need) for need in needs if need.wait is wait)
        groups.append(f"{named} ({how})" if named else "")
    return "; ".join(group for group in groups if group)


def _named(step: AnyStep, need: Need) -> str:
    before = [command for command in need.commands if COMMANDS.index(command) < COMMANDS.index(step.command)]
    names = ", ".join(f"`{command}`" for command in before)
    other = STEPS[need.commands[0]]
    if step.each is Each.TREE and other.each is Each.FRAME:
        return f"{names} or `{step.command}` below"
    if step.each is Each.SHOWN:
        return f"the shown {names}"
    return f"all {names}" if other.each.item is not None and not step.goes_with(other) else names


if __name__ == "__main__":
    PAGE.write_text(page())
