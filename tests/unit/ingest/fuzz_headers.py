"""``python -m tests.unit.ingest.fuzz_headers``: mangled headers for long, FUZZ_EXAMPLES of them; prints figures."""

import os
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, given, settings

from tests.unit.ingest.header_corpus import samples
from tests.unit.ingest.mangled_headers import Mangled, mangled, outcome

EXAMPLES = 20_000
MEANING = {
    "same": "read as it was meant",
    "unknown": "a fact is left open",
    "noted": "with a note",
    "rejected": "rejected with a reason",
}


def main() -> int:
    """Exit code 1 where a header was read otherwise without a word; the smallest such header is printed."""
    warnings.simplefilter("ignore")
    counts: Counter[str] = Counter()
    began = time.monotonic()
    corpus = samples()
    with tempfile.TemporaryDirectory() as folder:

        @settings(
            max_examples=int(os.environ.get("FUZZ_EXAMPLES", EXAMPLES)),
            deadline=None,
            suppress_health_check=list(HealthCheck),
            database=None,
        )
        @given(one=mangled(corpus))
        def search(one: Mangled) -> None:
            counts[outcome(one, Path(folder) / "frames")] += 1

        try:
            search()
        except AssertionError as error:
            sys.stderr.write(f"{error}\n")
            return 1
    total = sum(counts.values())
    sys.stdout.write(f"{total} mangled headers of {len(corpus)} in {time.monotonic() - began:.0f} s\n")
    for name, meaning in MEANING.items():
        sys.stdout.write(f"{counts[name]:8d}  {100.0 * counts[name] / max(total, 1):4.1f} %  {meaning}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
