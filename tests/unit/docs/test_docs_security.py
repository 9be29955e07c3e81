"""Each claim of the threat model names a test that there is."""

import re

from tests.unit.docs.pages import DOCS

PAGE = DOCS / "explanation" / "security.md"
NAMED = re.compile(r"\[`(test_\w+)`\]\((\S+)\)")


def test_each_claim_has_its_test() -> None:
    rows = [line for line in PAGE.read_text().partition("\n## Messages\n")[2].splitlines() if line.startswith("| ")]
    claims = [row for row in rows if not re.match(r"\| (claim|---) ", row)]
    assert len(claims) > 30
    for claim in claims:
        named = NAMED.search(claim)
        assert named, f"no test: {claim}"
        source = (PAGE.parent / named[2]).resolve().read_text()
        assert re.search(rf"^ *def {named[1]}\(", source, re.M), f"{named[2]} has no {named[1]}"
