"""Seconds of each tool for the light curves of the same stars in the same circles, in turns; the median counts.

`make bench-peers`, or `python -m bench.peers [--frames 60] [--size 2048] [--stars 1300] [--rounds 3]
[--peers PYTHON] [--folder DIR]`. Each tool masters, calibrates, aligns, measures and divides by one method, in one
process at a time. Tianyu with one worker; as it comes, with one for each core; and told the stars, as the others are:
by the template of 12 frames of the night before.
"""

import argparse
import json
import os
import shutil
import sqlite3
import sys
import tempfile
import warnings
from collections import defaultdict
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np

from bench.peers import timing
from bench.peers.scope import RELATIVE, SECONDS, Floats, Scope
from bench.photometry import with_tianyu
from bench.photometry.night import Night, read
from services.trials.simulate import night_spec, simulate

RADII, ANNULUS = [3.0, 4.5, 6.0], [12.0, 18.0]  # px
REFERENCES = 50
MARGIN_PX = 40.0  # from the border, on all frames: QLCP leaves out two of its diameters
TIANYU, ALL_CORES, TOLD = "Tianyu, one worker", "Tianyu, a worker a core", "Tianyu, told the stars"
ONE_METHOD = ["ensemble"]
BEFORE_FRAMES = 12  # of the night before
PEERS = {"QLCP": "qlcp_way", "eloy": "eloy_way", "SExtractor in a script": "source_extractor_way"}
TOOLS = (TIANYU, *PEERS, ALL_CORES, TOLD)
STEPS_OF_TIANYU = """
SELECT p.command, SUM(a.cpu_seconds) FROM process_attempt a JOIN process p ON p.pid = a.pid
JOIN observation o ON o.observation_id = p.observation_id WHERE o.night = (SELECT MAX(night) FROM observation)
GROUP BY p.command ORDER BY SUM(a.cpu_seconds) DESC
"""


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--size", type=int, default=2048)
    parser.add_argument("--stars", type=int, default=1300)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", default=sys.executable, help="Python of the environment with eloy and QLCP")
    parser.add_argument("--folder", type=Path, help="keep the night here, and use it again")
    return parser.parse_args()


def make_night(asked: argparse.Namespace, folder: Path, frames: int, nights_before: int = 0) -> Night:
    """All of its frames are good: what tools do with bad ones is not compared."""
    if not (folder / "truth").is_dir():
        changes = {"n_frames": frames, "shape": (asked.size, asked.size), "n_stars": asked.stars, "seed": 1}
        spec = night_spec("night", cloudy_fraction=0.0, n_smeared=0, **changes)
        simulate(replace(spec, start_jd=spec.start_jd - nights_before), folder)
    return read(folder)


def tianyu(folder: Path, work: Path, *options: str) -> list[str]:
    run = ["run", str(folder), "--workdir", str(work), "--no-plots", "--until", "calibrate_relative"]
    return [sys.executable, "-m", "services.cli.app", *run, *options]


def measure_before(asked: argparse.Namespace, folder: Path) -> Path:
    """The working folder of the night before."""
    night = make_night(asked, folder / "night before", BEFORE_FRAMES, 1)
    work = folder / "before"
    timing.run(tianyu(night.folder, work), folder / "log")
    return work


def stars_of(night: Night) -> np.ndarray:
    """Those that are well inside on all frames."""
    ny, nx = night.truth.spec.shape
    places = [night.truth.positions(int(epoch)) for epoch in night.epochs]
    room = [np.minimum(np.minimum(x, nx - 1 - x), np.minimum(y, ny - 1 - y)) for x, y in places]
    return np.flatnonzero(np.min(room, axis=0) > MARGIN_PX)


def scope_of(night: Night, stars: np.ndarray) -> Scope:
    truth = night.truth
    constant = np.flatnonzero(truth.stars.kind[stars] == "constant")
    brightest = constant[np.argsort(truth.stars.mag[stars[constant]])[:REFERENCES]]
    hours, degrees = truth.spec.ra_deg / 15, truth.spec.dec_deg
    return Scope(
        lights=[str(path) for path in night.light_frames()],
        **{kind: [str(path) for path in night.calibration_frames(kind)] for kind in ("bias", "dark", "flat")},
        xy=np.column_stack(truth.positions(int(night.epochs[0])))[stars].tolist(),
        references=brightest.tolist(),
        radii=RADII,
        annulus=ANNULUS,
        ra_dec=[_sexagesimal(hours), ("+" if degrees >= 0 else "-") + _sexagesimal(abs(degrees))],
        gain=truth.spec.gain,
    )


def _sexagesimal(value: float) -> str:
    seconds = round(value * 3600)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def command_of(tool: str, asked: argparse.Namespace, night: Night, work: Path) -> list[str]:
    if tool in PEERS:
        return [asked.peers, "-m", f"bench.peers.{PEERS[tool]}", str(work.parent / "scope.json"), str(work)]
    options = {TIANYU: ["--consumers", "1"], TOLD: ["--template", "known"]}
    return tianyu(night.folder, work, *options.get(tool, []))


def seconds_of(tool: str, work: Path) -> dict[str, float]:
    """CPU by step."""
    if tool in PEERS:
        return dict(json.loads((work / SECONDS).read_text()))
    with closing(sqlite3.connect(work / "tianyu.db")) as connection:
        return dict(connection.execute(STEPS_OF_TIANYU).fetchall())


def relative_of(tool: str, night: Night, stars: np.ndarray, work: Path) -> Floats:
    """Relative fluxes of the stars, float64[star, frame, circle]."""
    if tool in PEERS:
        return np.asarray(np.load(work / RELATIVE))
    return with_tianyu.run(night, work)[0].flux[stars]


def quality(relative: Floats, magnitudes: Floats) -> tuple[float, float, float]:
    """Share of points that there are; scatter (mmag) of the median star of the brightest magnitude and of the faintest,
    each in its best circle: so it is seen that light curves were made."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of stars that were not measured
        scatter = np.nanmin(np.nanstd(relative, axis=1) / np.nanmedian(relative, axis=1), axis=1)
    ends = (magnitudes < magnitudes.min() + 2, magnitudes > magnitudes.max() - 1)
    bright, faint = (1085.7 * float(np.nanmedian(scatter[end])) for end in ends)
    return float(np.isfinite(relative).mean()), bright, faint


def rounds(
    asked: argparse.Namespace, night: Night, before: Path, folder: Path, after: Callable[[str, Path], None]
) -> dict[str, list[timing.Used]]:
    """What each tool used, in turns, each in a new folder; ``after`` sees what it left, in the last round."""
    used: dict[str, list[timing.Used]] = defaultdict(list)
    for number in range(asked.rounds):
        for tool in TOOLS:
            # Folders stay until the end: a virtual machine gives the memory of files that are deleted back to its host,
            # and having it again costs whoever writes next ten times what writing costs.
            work = folder / f"work-{number + 1}-{TOOLS.index(tool)}"  # no spaces: QLCP hands names to a shell
            shutil.copytree(before, work) if tool == TOLD else work.mkdir()
            used[tool].append(timing.run(command_of(tool, asked, night, work), folder / "log"))
            said = f"{used[tool][-1].wall:.1f} s, CPU {used[tool][-1].cpu:.1f} s"
            print(f"… round {number + 1}, {tool}: {said}", file=sys.stderr, flush=True)
            if number == asked.rounds - 1:
                after(tool, work)
    return used


def main() -> None:
    asked = options()
    os.environ |= {"OMP_NUM_THREADS": "1", "TIANYU_CATALOG": "none", "TIANYU_APERTURE_RADII": json.dumps(RADII)}
    os.environ["TIANYU_RELATIVE_METHODS"] = json.dumps(ONE_METHOD)
    with tempfile.TemporaryDirectory(prefix="tianyu-peers-") as temporary:
        folder = Path(temporary)
        night = make_night(asked, (asked.folder or folder / "night").resolve(), asked.frames)
        before = measure_before(asked, folder)
        stars = stars_of(night)
        scope_of(night, stars).write(folder / "scope.json")
        left: dict[str, tuple[dict[str, float], tuple[float, float, float]]] = {}

        def look(tool: str, work: Path) -> None:
            good = quality(relative_of(tool, night, stars, work), night.truth.stars.mag[stars])
            left[tool] = seconds_of(tool, work), good

        used = rounds(asked, night, before, folder, look)
    report(asked, len(night.epochs), len(stars), used, left)


def report(asked: argparse.Namespace, frames: int, stars: int, used: dict, left: dict) -> None:
    title = f"{stars:,} stars in {len(RADII)} circles on {frames} frames of {asked.size}²"
    print(f"{title}, medians of {asked.rounds} rounds\n")
    print("| tool | CPU, s | over Tianyu's | wall, s | over Tianyu's | points | scatter, mmag: bright, faint |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for tool, runs in used.items():
        cells = [tool]
        for what in ("cpu", "wall"):
            ratios = [getattr(run, what) / getattr(own, what) for run, own in zip(runs, used[TIANYU], strict=True)]
            cells.append(f"{median(getattr(run, what) for run in runs):.1f}")
            cells.append(f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
        share, bright, faint = left[tool][1]
        print(f"| {' | '.join(cells)} | {100 * share:.1f} % | {bright:.1f}, {faint:.0f} |")
    print("\n| tool | steps, CPU ms a frame, in the last round |\n| --- | --- |")
    for tool, (seconds, _) in left.items():
        print(f"| {tool} | {', '.join(f'{step} {1000 * value / frames:.0f}' for step, value in seconds.items())} |")


if __name__ == "__main__":
    main()
