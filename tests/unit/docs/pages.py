"""The pages of the documentation: their text, code blocks and tables."""

import re
from collections.abc import Iterator
from pathlib import Path

CHECKOUT = Path(__file__).parents[3]
DOCS = CHECKOUT / "docs"
PAGES = sorted(
    [CHECKOUT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")] + list(DOCS.rglob("*.md"))
)

_BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`([^`\n]+)`")


def name_of(page: Path) -> str:
    """The page as a test's parameter shows it."""
    return str(page.relative_to(CHECKOUT))


def blocks(page: Path, *languages: str) -> Iterator[str]:
    """Contents of the fenced blocks in these languages, indentation taken off."""
    for indent, language, content in _BLOCK.findall(page.read_text()):
        if language in languages:
            yield "\n".join(line.removeprefix(indent) for line in content.splitlines())


def prose(page: Path) -> str:
    """The page without its fenced blocks."""
    return _BLOCK.sub("", page.read_text())


def inline_code(page: Path) -> list[str]:
    """What stands between single backquotes outside the blocks."""
    return _INLINE.findall(prose(page))


def table_rows(page: Path, heading: str) -> list[list[str]]:
    """Cells of the body of the table below a heading (its text, without #); backquotes are taken off whole cells."""
    text = page.read_text()
    _, found, below = text.partition(f"# {heading}\n")
    assert found, f"{name_of(page)} has no heading {heading!r}"
    section = re.split(r"^#+ ", below, maxsplit=1, flags=re.MULTILINE)[0]
    rows = [line for line in section.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in rows[2:]]
    return [[_bare(cell) for cell in row] for row in cells]


def _bare(cell: str) -> str:
    whole = re.fullmatch(r"`([^`]*)`", cell)
    return (whole[1] if whole else cell).replace("\\|", "|")
