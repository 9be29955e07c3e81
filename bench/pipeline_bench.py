"""Seconds a frame by step, beside the bare library calls on the same frames in the same run.

`python -m bench.pipeline_bench [--frames 60] [--size 2048] [--stars 1300] [--repeats 3] [--keep DIR]`

The bare calls are what any program must do with these libraries: read, calibrate, background, subtract, extract, write,
match, stack, read, apertures, insert. The ratio is `tianyu run` with one consumer, start of the interpreter, headers,
database and relative calibration included, over their sum. Machines differ, and a shared one from minute to minute:
each run stands between two passes of the bare calls, whose mean it is compared with, and the run of the median ratio
is shown.
"""

import argparse
import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import sep
from astropy.io import fits
from scipy.spatial import KDTree

from services.trials.simulate import night_spec, simulate

RADII = (3.0, 4.5, 6.0)
SOON_S, LATER_S, START_S = 0.01, 0.1, 10.0  # between looks at a run: while it starts, and later
SECONDS: dict[str, float] = defaultdict(float)  # of the pass of the bare calls that is under way


@dataclass(frozen=True)
class Run:
    """One `tianyu run`: seconds from command to end, CPU seconds of all programs, the consumer's peak memory.

    ``start_s`` and ``start_cpu``: the same from the command until the first process began.
    """

    seconds: float
    cpu: float
    start_s: float
    start_cpu: float
    memory_bytes: int
    own_bytes: int  # the same, of pages that several programs have each its share
    processes: list[tuple[str, int, float]]  # command, how many, seconds
    span: float  # seconds from the first start of a process to the last end

    @property
    def in_steps(self) -> float:
        return sum(seconds for _, _, seconds in self.processes)


@contextmanager
def timed(step: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    SECONDS[step] += time.perf_counter() - start


def bare_masters(folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    with timed("masters"):
        bias = np.mean([fits.getdata(p) for p in sorted(folder.glob("bias_*"))], axis=0, dtype="f4")
        darks = sorted(folder.glob("dark_*"))
        dark = np.mean([fits.getdata(p) for p in darks], axis=0, dtype="f4") - bias
        flats = [fits.getdata(p) - bias for p in sorted(folder.glob("flat_*"))]
        flat = np.median([f / f.mean() for f in flats], axis=0).astype("f4")
    return bias, dark, flat


def bare_calibrate(path: Path, masters: tuple[np.ndarray, ...], output: Path) -> np.ndarray:
    bias, dark, flat = masters
    with timed("read"):
        raw = fits.getdata(path, memmap=False)
    with timed("calibrate"):
        image = (raw - bias - dark) / flat
    with timed("background"):
        background = sep.Background(image)
    with timed("subtract"):
        image = image - background
    with timed("extract stars"):
        stars = sep.extract(image, 5.0, err=background.globalrms)
    with timed("write"):
        fits.PrimaryHDU(image).writeto(output, overwrite=True)
    return stars


def bare_night(folder: Path, work: Path) -> dict[str, float]:
    """The calls for all frames, in order, in this process; seconds by step."""
    SECONDS.clear()
    work.mkdir()
    masters = bare_masters(folder)
    lights = sorted(folder.glob("Simulated_R_*"))
    outputs = [work / f"{number}.fits" for number in range(len(lights))]
    lists = [bare_calibrate(path, masters, output) for path, output in zip(lights, outputs, strict=True)]
    shifts = []
    for stars in lists:
        with timed("align"):
            tree = KDTree(np.column_stack([lists[0]["x"], lists[0]["y"]]))
            _, near = tree.query(np.column_stack([stars["x"], stars["y"]]), distance_upper_bound=50.0)
            matched = near < len(lists[0])
            shifts.append(
                (
                    np.median(stars["x"][matched] - lists[0]["x"][near[matched]]),
                    np.median(stars["y"][matched] - lists[0]["y"][near[matched]]),
                )
            )
    total = None
    for output, (dx, dy) in zip(outputs, shifts, strict=True):
        with timed("stack"):
            image = fits.getdata(output, memmap=False)
            moved = np.roll(image, (-round(dy), -round(dx)), (0, 1))
            total = moved if total is None else total + moved
    assert total is not None
    with timed("detect"):
        total = np.ascontiguousarray(total / len(outputs), dtype="f4")
        background = sep.Background(total)
        sources = sep.extract(total - background, 5.0, err=background.globalrms)
    # sep refuses an annulus that lies outside: sources at the border are left out, Tianyu has them.
    reach = 30.0 + np.abs(shifts).max()
    ny, nx = total.shape
    inside = (np.abs(sources["x"] - nx / 2) < nx / 2 - reach) & (np.abs(sources["y"] - ny / 2) < ny / 2 - reach)
    bare_fluxes(outputs, shifts, sources[inside], work / "bare.db")
    return dict(SECONDS)


def bare_fluxes(outputs: list[Path], shifts: list[tuple[float, float]], sources: np.ndarray, database: Path) -> None:
    connection = sqlite3.connect(database)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("CREATE TABLE flux (source INT, image INT, aperture INT, flux REAL, error REAL, flag INT)")
    for number, (output, (dx, dy)) in enumerate(zip(outputs, shifts, strict=True)):
        with timed("read again"):
            image = fits.getdata(output, memmap=False).astype("f4")
        rows = []
        with timed("apertures"):
            x, y = sources["x"] + dx, sources["y"] + dy
            sky, _, _ = sep.sum_circann(image, x, y, 12.0, 18.0, subpix=1)
            sky /= np.pi * (18.0**2 - 12.0**2)
            for aperture, radius in enumerate(RADII):
                flux, error, flag = sep.sum_circle(image, x, y, radius, err=10.0, gain=1.5, subpix=0)
                rows.append((aperture, flux - sky * np.pi * radius**2, error, flag))
        with timed("insert"), connection:
            for aperture, flux, error, flag in rows:
                connection.executemany(
                    "INSERT INTO flux VALUES (?, ?, ?, ?, ?, ?)",
                    zip(
                        range(len(flux)),
                        [number] * len(flux),
                        [aperture] * len(flux),
                        flux.tolist(),
                        error.tolist(),
                        flag.tolist(),
                        strict=True,
                    ),
                )
    connection.close()


@dataclass(frozen=True)
class Look:
    """At the programs of a run, at a Unix time: CPU seconds so far, resident bytes of the consumers and workers.

    ``own_bytes``: pages that several programs have are counted in shares.
    """

    at: float
    cpu: float
    memory_bytes: int
    own_bytes: int


def look(root_pid: int) -> Look:
    """What a run and the programs below it take."""
    parents: dict[int, int] = {}
    ticks: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            facts = (folder / "stat").read_text().rpartition(")")[2].split()
            parents[int(folder.name)], ticks[int(folder.name)] = int(facts[1]), sum(map(int, facts[11:15]))

    def below(pid: int) -> list[int]:
        return [other for child, parent in parents.items() if parent == pid for other in (child, *below(child))]

    consumers = below(root_pid)
    memory = own = 0
    for pid in consumers:
        with suppress(OSError, IndexError, StopIteration):
            memory += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            own += 1024 * next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    cpu = sum(ticks.get(pid, 0) for pid in (root_pid, *consumers)) / os.sysconf("SC_CLK_TCK")
    return Look(time.time(), cpu, memory, own)


def tianyu_run(folder: Path, work: Path, python: str = sys.executable, checkout: Path | None = None) -> Run:
    """Run the night in a new working folder, by the Tianyu of a checkout and its environment's ``python``."""
    command = ["run", str(folder), "--workdir", str(work), "--consumers", "1", "--no-plots"]
    looks = []
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.time()
    process = subprocess.Popen(
        [python, "-m", "services.cli.app", *command],
        cwd=checkout,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while process.poll() is None:
        looks.append(look(process.pid))
        time.sleep(SOON_S if looks[-1].at - start < START_S else LATER_S)
    elapsed = time.time() - start
    if process.returncode:
        sys.exit(f"tianyu run ended with {process.returncode}")
    used = resource.getrusage(resource.RUSAGE_CHILDREN)  # nothing else was started
    cpu = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
    connection = sqlite3.connect(work / "tianyu.db")
    rows = connection.execute(STEPS).fetchall()
    first, span = connection.execute(SPAN).fetchone()
    connection.close()
    start_cpu = next(one.cpu for one in looks if one.at >= first)
    memory, own = max(one.memory_bytes for one in looks), max(one.own_bytes for one in looks)
    return Run(elapsed, cpu, first - start, start_cpu, memory, own, rows, span)


STEPS = """
SELECT command, SUM(count), SUM(seconds) FROM process_summary
GROUP BY command ORDER BY MIN(observation_id), SUM(seconds) DESC
"""
# Unix time of the first start, and seconds from it to the last end.
SPAN = """
SELECT 86400 * (first - 2440587.5), 86400 * (last - first)
FROM (SELECT julianday(MIN(started_at)) AS first, julianday(MAX(finished_at)) AS last FROM process_attempt)
"""


def report(frames: int, bare: dict[str, float], run: Run) -> None:
    print(f"\nbare library calls ({frames} frames), means of the passes before and after")
    for step, seconds in bare.items():
        print(f"  {step:<20}{1000 * seconds / frames:8.1f} ms a frame")
    total = sum(bare.values())
    print(f"  {'all':<20}{1000 * total / frames:8.1f} ms a frame, {total:.2f} s")
    print("\nTianyu, one consumer, in the steps")
    for command, count, seconds in run.processes:
        each = 1000 * seconds / count
        print(f"  {command:<20}{1000 * seconds / frames:8.1f} ms a frame, {count} processes of {each:.1f} ms")
    steps, processes = run.in_steps, sum(count for _, count, _ in run.processes)
    print(f"  {'all steps':<20}{1000 * steps / frames:8.1f} ms a frame, {steps:.2f} s")
    beside = 1000 * (run.span - steps)
    print(f"  first start to last end {run.span:.2f} s: {beside / processes:.1f} ms a process beside its step")
    print(f"  command to first process {run.start_s:.2f} s; CPU {run.start_cpu:.2f} s")
    print(f"  command to end {run.seconds:.2f} s; start, headers, graph and summary {run.seconds - run.span:.2f} s")
    print(f"  CPU of all processes {run.cpu:.2f} s")
    memory, own = run.memory_bytes / 1e6, run.own_bytes / 1e6
    print(f"  peak memory of the consumer with its worker {memory:.0f} MB; shared pages counted once {own:.0f} MB")


def parser() -> argparse.ArgumentParser:
    """Of the command line."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--frames", type=int, default=60)
    made.add_argument("--size", type=int, default=2048)
    made.add_argument("--stars", type=int, default=1300)
    made.add_argument("--repeats", type=int, default=3, help="runs, an odd number; each takes a minute")
    made.add_argument("--keep", type=Path, help="keep the simulated night here, and use it again")
    return made


def simulated(arguments: argparse.Namespace, folder: Path) -> Path:
    """The night that is to be run, and what its runs go by."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ["TIANYU_CATALOG"] = "none"  # the bare calls ask nobody for names either
    night = (arguments.keep or folder / "night").resolve()
    if not (night / "truth").is_dir():
        print("simulating the night …", file=sys.stderr, flush=True)
        shape = (arguments.size, arguments.size)
        spec = night_spec("night", n_frames=arguments.frames, shape=shape, n_stars=arguments.stars, seed=1)
        simulate(spec, night)
    return night


def main() -> None:
    arguments = parser().parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        night = simulated(arguments, Path(temporary))
        work = Path(temporary)
        # Folders stay until the end: a virtual machine gives the memory of files that are deleted back to its host, and
        # having it again costs whoever writes next ten times what writing costs.
        passes, runs = [bare_night(night, work / "bare 0")], []
        for number in range(1, arguments.repeats + 1):
            runs.append(tianyu_run(night, work / f"run {number}"))
            passes.append(bare_night(night, work / f"bare {number}"))
    around = [{step: (a[step] + b[step]) / 2 for step in a} for a, b in pairwise(passes)]
    ratios = [run.seconds / sum(bare.values()) for bare, run in zip(around, runs, strict=True)]
    shown = ratios.index(sorted(ratios)[len(ratios) // 2])
    report(arguments.frames, around[shown], runs[shown])
    steps = runs[shown].in_steps / sum(around[shown].values())
    every = ", ".join(f"{ratio:.2f}" for ratio in ratios)
    print(f"\ntotal over bare calls: {ratios[shown]:.2f} (steps alone {steps:.2f}); all runs: {every}")


if __name__ == "__main__":
    main()
