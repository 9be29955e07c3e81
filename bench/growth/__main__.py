"""CPU seconds by the number of frames, stars, waiting processes and rows, and the exponent of each.

`make bench-growth`, or `python -m bench.growth [--only frames stars waiting rows] [--figure growth.png]`. The goal is
1.05 for what is done once for each frame, star or process; of a piece of work while much else is there, 0.05.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import structlog

from bench.growth import figure, series
from bench.growth.exponent import at_the_end, marginal, plain
from bench.growth.series import Series

WARM_UP = (5,)  # imports and caches are no growth
FRAMES = (60, 120, 250, 500, 999)
STARS = (300, 1000, 3000, 10_000, 30_000)
PIXELS = 3072  # of a side, for 30,000 stars: one for 18 × 18 pixels
WAITING = (1000, 3000, 10_000, 30_000, 100_000)
ROWS = (10_000, 100_000, 1_000_000, 3_000_000)
GOAL = 1.05
SHOWN = 0.03  # of the whole at the largest size


def measures(folder: Path) -> dict[str, Callable[[], tuple[Series, ...]]]:
    return {
        "frames": lambda: (series.frames(FRAMES, folder),),
        "stars": lambda: (series.stars(STARS, folder, PIXELS),),
        "waiting": lambda: series.waiting(WAITING, folder),
        "rows": lambda: series.rows(ROWS, folder),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = list(measures(Path()))
    parser.add_argument("--only", nargs="+", choices=names, default=names)
    parser.add_argument("--figure", type=Path, default=Path("growth.png"))
    asked = parser.parse_args()
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())  # the nights' own words
    found: list[Series] = []
    with tempfile.TemporaryDirectory(prefix="tianyu-growth-") as temporary:
        series.frames(WARM_UP, Path(temporary))
        for name in asked.only:
            for one in measures(Path(temporary))[name]():
                found.append(one)
                show(one)
    figure.draw(found, asked.figure)
    print(f"figure {asked.figure}")


def show(one: Series) -> None:
    """Its costs, its exponent, and the steps that weigh most or grow fastest."""
    if one.per_piece:
        power, goal, beside = plain(one.sizes, one.seconds), GOAL - 1, ""
    else:
        start, _, power = marginal(one.sizes, one.seconds)
        goal, beside = GOAL, f" beside a constant {start:.2g} s"
    said = "reached" if power <= goal else "NOT reached"
    print(f"### {one.what}: exponent {power:.2f}{beside}; goal {goal:.2f}: {said}\n")
    print(f"| {one.unit} | {' | '.join(f'{size:,}' for size in one.sizes)} | exponent at the end |")
    print(f"| --- |{' --- |' * (len(one.sizes) + 1)}")
    lines = {"CPU, s": one.seconds} | {
        f"`{step}`": seconds
        for step, seconds in sorted(one.parts.items(), key=lambda item: -item[1][-1])
        if seconds[-1] > SHOWN * one.seconds[-1]
    }
    for name, seconds in lines.items():
        print(f"| {name} | {' | '.join(f'{value:.3g}' for value in seconds)} | {at_the_end(one.sizes, seconds):.2f} |")
    print(flush=True)


if __name__ == "__main__":
    main()
