"""Links between pages lead somewhere, and figures are there and small."""

import re
from pathlib import Path

import pytest

from tests.unit.docs.pages import DOCS, PAGES, name_of, prose

LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
LARGEST_FIGURE_BYTES = 150_000
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
FIGURES = sorted((DOCS / "images").glob("*"))


def anchors(page: Path) -> set[str]:
    """The anchors that a page's headings get."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(prose(page)):
        if re.match(r"https?://", target):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), f"{name_of(page)} links to {target}, which is not there"
        if anchor:
            assert anchor in anchors(there), f"{name_of(page)} links to {target}: no such heading"


def test_every_page_is_reached_from_the_readme() -> None:
    reached, waiting = set(), [next(page for page in PAGES if page.name == "README.md")]
    while waiting:
        page = waiting.pop()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        targets = (target.partition("#")[0] for target in LINK.findall(prose(page)) if "://" not in target)
        waiting += [there for target in targets if target and (there := (page.parent / target).resolve()).is_file()]
    assert set(PAGES) - reached == set()


@pytest.mark.parametrize("figure", FIGURES, ids=lambda path: path.name)
def test_figures_are_small_and_shown(figure: Path) -> None:
    content = figure.read_bytes()
    assert content.startswith(PNG_SIGNATURE)
    assert len(content) < LARGEST_FIGURE_BYTES
    assert any(f"images/{figure.name})" in page.read_text() for page in PAGES)
