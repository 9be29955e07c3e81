"""Whatever cards of a header are missing or broken, a frame is read as it was meant, or something is said."""

from pathlib import Path

from hypothesis import HealthCheck, given, settings

from tests.unit.ingest.header_corpus import samples
from tests.unit.ingest.mangled_headers import Mangled, mangled, outcome

SAMPLES = samples()


@settings(max_examples=250, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None)
@given(one=mangled(SAMPLES))
def test_nothing_is_read_otherwise_without_a_word(one: Mangled, tmp_path: Path) -> None:
    outcome(one, tmp_path / "frames")


def test_every_card_alone_may_be_missing(tmp_path: Path) -> None:
    for sample in SAMPLES:
        for number in range(sum(len(header) for header in sample.headers)):
            outcome(Mangled(sample, {number: ""}), tmp_path / "frames")
