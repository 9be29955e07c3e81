"""One search among index files, in a process of its own: the question as JSON comes in, the answer as JSON goes out.

The library's C code cannot be interrupted, and a damaged index file ends it: both end this process and no other. It is
under the GPL, as no other part of Tianyu needs to be.
"""

import json
import math
import os
import resource
import sys
from pathlib import Path
from typing import Any

STARS_A_BATCH = 25  # patterns are made of these first, then of the next as many; each pair of patterns costs time
GRACE_S = 1  # of CPU beyond the time limit, for what is loaded and for whole seconds
NICENESS = 5  # of a search that may wait
PIXEL_NOISE = 1.0  # of positions, px
LEAST_LOG_ODDS = (
    21.0  # of a match over chance: one false among 1e9 patterns; what is found is confirmed by a fit of ours
)
MAGNITUDES = ("phot_g_mean_mag", "MAG", "mag", "MAG_VT", "j_mag")  # columns of the various series


def search(question: dict[str, Any]) -> dict[str, Any] | None:
    """The first match above LEAST_LOG_ODDS, or None.

    Keys of the question: files; stars: (x, y), 0-based, brightest first; scale: least and greatest arcsec a pixel;
    place: ra, dec, radius in degrees, or null. Of the answer: cards (FITS keywords and values); stars of the index in
    the field: (ra, dec, magnitude or null); index: name of the file; log_odds.
    """
    import astrometry

    stars = [(x + 1.0, y + 1.0) for x, y in question["stars"]]  # FITS counts pixels from one
    place = question["place"]
    parameters = astrometry.SolutionParameters(
        slices_generator=astrometry.batches_generator(min(STARS_A_BATCH, len(stars))),
        positional_noise_pixels=PIXEL_NOISE,
        output_logodds_threshold=LEAST_LOG_ODDS,
        # Without it the search goes on through all patterns: minutes instead of 0.3 s, and no better.
        logodds_callback=lambda _: astrometry.Action.STOP,
    )
    with astrometry.Solver([Path(file) for file in question["files"]]) as solver:
        found = solver.solve(
            stars,
            astrometry.SizeHint(*question["scale"]),
            None if place is None else astrometry.PositionHint(*place),
            parameters,
        )
    if not found.has_match():
        return None
    best = found.best_match()
    return {
        "cards": {key: value for key, (value, _) in best.wcs_fields.items()},
        "stars": [(star.ra_deg, star.dec_deg, _magnitude(star.metadata)) for star in best.stars],
        "index": best.index_path.name,
        "log_odds": best.logodds,
    }


def _magnitude(metadata: dict[str, Any]) -> float | None:
    for name in MAGNITUDES:
        value = metadata.get(name)
        if isinstance(value, int | float) and math.isfinite(value):
            return float(value)
    return None


def main() -> None:
    """Answer one question. What the library prints goes to standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    question = json.load(sys.stdin)
    if question.get("patient"):
        os.nice(NICENESS)
    limit = math.ceil(question["seconds"]) + GRACE_S
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 1))  # a signal of its own, then the last one
    json.dump(search(question), answers)
    answers.close()


if __name__ == "__main__":
    main()
