"""``python -m bench.photometry``: Tianyu's scatter by magnitude beside that of other tools, of the same frames.

Exit code 1: Tianyu scatters more than a tool; 2: a tool is not installed, and its column is missing.
"""

import argparse
import sys
import tempfile
import warnings
from collections.abc import Iterator
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from bench import source_extractor
from bench.photometry import ensembles, matrix, scores, tables, with_source_extractor, with_tianyu
from bench.photometry.light_curves import LightCurves
from bench.photometry.night import Night, read
from services.trials.simulate import night_spec, simulate

MORE_SCATTER, TOOL_MISSING = 1, 2
PACKAGES = ("photutils", "eloy")


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.photometry", description=__doc__)
    parser.add_argument("--size", type=int, default=2048, help="pixels of a side (default 2048)")
    parser.add_argument("--stars", type=int, default=1500, help="stars in view (default 1500)")
    parser.add_argument("--frames", type=int, default=60, help="light frames (default 60)")
    parser.add_argument("--seed", type=int, default=21, help="of the first night (default 21)")
    parser.add_argument("--nights", type=int, default=3, help="nights to compare, a seed each (default 3)")
    parser.add_argument("--folder", type=Path, help="keep the nights and Tianyu's runs there, and use what is there")
    parser.add_argument("--figure", type=Path, default=Path("photometry-bench.png"), help="where the figure goes")
    parser.add_argument("--matrix", action="store_true", help="Tianyu alone, on many nights of 2048²; takes an hour")
    parser.add_argument("--seeds", type=int, default=1, help="nights of each density and condition (default 1)")
    return parser.parse_args()


def say(line: str) -> None:
    """Tell the person who waits, beside what is printed."""
    print(f"… {line}", file=sys.stderr, flush=True)


def make_night(options: argparse.Namespace, seed: int, folder: Path) -> Night:
    """The night in the folder, simulated if it is not there."""
    raw = folder / "night"
    if not (raw / "truth").exists():
        say(f"simulating the night of seed {seed}")
        shape = (options.size, options.size)
        changes = {"shape": shape, "n_stars": options.stars, "n_frames": options.frames, "seed": seed}
        simulate(night_spec("night", rotation_deg=0.3, **changes), raw)
    return read(raw)


def light_curves(night: Night, folder: Path) -> Iterator[LightCurves]:
    """Of each tool that is there, by its own method and through Tianyu's ensemble."""
    say("Tianyu")
    own, raw, _ = with_tianyu.run(night, folder / "work")
    yield own
    unsaturated = np.zeros(night.truth.stars.id.size, dtype=bool)  # the simulated stars do not saturate
    if find_spec("photutils"):
        from bench.photometry import with_photutils

        say("photutils")
        raw = with_photutils.run(night)
        yield from (ensembles.plain(raw, unsaturated), ensembles.tianyu(raw))
    if find_spec("eloy"):
        from bench.photometry import with_eloy

        say("eloy")
        raw = with_eloy.run(night)
        yield from (with_eloy.light_curves(raw, night), ensembles.tianyu(raw))
    if source_extractor.program():
        say("SExtractor")
        raw = with_source_extractor.run(night, folder / "sextractor")
        yield from (ensembles.plain(raw, unsaturated), ensembles.tianyu(raw))


def missing_tools() -> list[str]:
    """What is not installed, and how to install it."""
    missing = [f"{name}: pip install '.[bench-photometry]'" for name in PACKAGES if not find_spec(name)]
    if not source_extractor.program():
        missing.append("SExtractor: apt-get install source-extractor")
    return missing


def compare(options: argparse.Namespace, folder: Path) -> int:
    """Measure and print; the exit code."""
    nights, measured = [], []
    for seed in range(options.seed, options.seed + options.nights):
        place = folder / f"seed-{seed}"
        place.mkdir(exist_ok=True)
        nights.append(make_night(options, seed, place))
        measured.append(scores.measure(nights[-1], list(light_curves(nights[-1], place))))
    spec = nights[0].truth.spec
    bins = scores.bins(scores.together(measured), spec.mag_min, spec.mag_max)
    tools = list(measured[0].radii)
    shared = [tool for tool in tools if tool.endswith(ensembles.SUFFIX)]
    own = [tool for tool in tools if tool not in shared]
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES if find_spec(name))
    frames = " + ".join(str(night.epochs.size) for night in nights)
    print(f"{spec.n_stars:,} stars on {spec.shape[0]}², {frames} good frames, seeds from {spec.seed}; {versions}\n")
    for title, tools in (("each tool by its own method", own), ("the same calibration", [tables.TIANYU, *shared])):
        print(f"### Scatter, mmag: {title}\n\n{tables.scatter_table(bins, tools)}\n")
        print(f"### Scatter over Tianyu's: {title}\n\n{tables.ratio_table(bins, tools)}\n")
    tables.figure(bins, own, options.figure)
    print(f"figure {options.figure}")
    worse, missing = tables.behind(bins, own), missing_tools()
    for line in worse:
        print(f"Tianyu is behind: {line} as much")
    for line in missing:
        print(f"not installed, left out: {line}")
    return TOOL_MISSING if missing else MORE_SCATTER if worse else 0


def main() -> int:
    """Run what was asked for."""
    options = arguments()
    warnings.filterwarnings("ignore", category=RuntimeWarning)  # NaN where stars were not measured
    warnings.filterwarnings("ignore", category=FutureWarning, module="eloy")
    with tempfile.TemporaryDirectory(prefix="tianyu-photometry-") as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if options.matrix:
            for line in matrix.rows(folder, options.frames, options.seeds):
                print(line, flush=True)
            return 0
        return compare(options, folder)


if __name__ == "__main__":
    sys.exit(main())
