"""Peak memory and seconds of each step on frames of a large camera, which have an overscan.

`python bench/memory_bench.py [--frames 100] [--masters 20] [--size 6388x9576] [--overscan 64] [--keep DIR]`

`tianyu run` with one consumer, whose worker is the only one. The peak is the worker's resident memory, which the
kernel counts anew for each process; what a worker keeps between processes is in it. The default night takes 20 GB of
frames, 30 GB of what is made of them, and a quarter of an hour to simulate: `--keep` uses it again.
"""

import argparse
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from astropy.io import fits

from pipeline.trials.simulation.camera import make_detector
from pipeline.trials.simulation.night_spec import NightSpec, Stream
from pipeline.trials.simulation.truth import make_truth
from services.trials.simulate import night_spec
from services.trials.simulate.simulated_frames import Frame, frames_of

LIMIT_BYTES = 1_500_000_000  # of a worker, in any step
STEPS = """
SELECT command, count(*), avg(seconds), avg(cpu_seconds), max(max_rss_bytes), avg(read_bytes), avg(write_bytes)
FROM process JOIN process_attempt USING (pid) WHERE process.status = 'succeeded' AND process_attempt.seconds IS NOT NULL
GROUP BY command ORDER BY min(process_attempt.started_at)
"""


def simulate(spec: NightSpec, overscan: int, folder: Path) -> None:
    """Write the frames that are not there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    truth = make_truth(spec)
    for number, frame in enumerate(frames_of(truth, make_detector(spec, spec.generator(Stream.DETECTOR)))):
        if not (folder / frame.name).exists():
            write(frame, spec, overscan, number, folder / frame.name)


def write(frame: Frame, spec: NightSpec, overscan: int, number: int, path: Path) -> None:
    """A frame with columns behind it that were read without charge."""
    ny, nx = spec.shape
    strip = np.random.default_rng(number).normal(spec.bias_level, spec.read_noise / spec.gain, (ny, overscan))
    hdu = fits.PrimaryHDU(np.hstack([frame.render(), np.rint(strip).astype(np.uint16)]))
    hdu.header.update(frame.header)
    if overscan:
        hdu.header["TRIMSEC"] = f"[1:{nx},1:{ny}]"
        hdu.header["BIASSEC"] = f"[{nx + 1}:{nx + overscan},1:{ny}]"
    hdu.writeto(path.with_suffix(".part"))
    path.with_suffix(".part").rename(path)


def measure(folder: Path, work: Path, frames: int) -> bool:
    """Run the night, print a line a step; whether all stay below the limit."""
    shutil.rmtree(work, ignore_errors=True)
    command = ["run", str(folder), "--workdir", str(work), "--consumers", "1", "--no-plots"]
    start = time.perf_counter()
    ended = subprocess.run([sys.executable, "-m", "services.cli.app", *command], stdout=subprocess.DEVNULL, check=False)
    elapsed = time.perf_counter() - start
    with sqlite3.connect(work / "tianyu.db") as connection:
        rows = connection.execute(STEPS).fetchall()
    print("| step | processes | peak MB | s each | CPU s each | s a light frame | read MB each | written MB each |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for step, number, seconds, cpu, peak, read, written in rows:
        a_frame = seconds * number / frames
        print(
            f"| `{step}` | {number} | {peak / 1e6:.0f} | {seconds:.2f} | {cpu:.2f} | {a_frame:.2f} "
            f"| {read / 1e6:.0f} | {written / 1e6:.0f} |"
        )
    print(f"from command to end {elapsed:.0f} s, {elapsed / frames:.2f} s a light frame")
    too_large = [step for step, *_, peak, _, _ in rows if peak > LIMIT_BYTES]
    if too_large:
        print(f"above {LIMIT_BYTES / 1e6:.0f} MB: {', '.join(too_large)}")
    if ended.returncode:
        print(f"tianyu run ended with {ended.returncode}")
    return not too_large and not ended.returncode


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=100, help="light frames")
    parser.add_argument("--masters", type=int, default=20, help="bias, dark and flat frames each")
    parser.add_argument("--size", default="6388x9576", help="rows and columns")
    parser.add_argument("--stars", type=int, help="in view; default: 1,300 on 2048 x 2048 pixels")
    parser.add_argument("--overscan", type=int, default=64, help="columns; 0: none")
    parser.add_argument("--keep", type=Path, help="keep the simulated night here, and use it again")
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ["TIANYU_CATALOG"] = "none"
    ny, nx = map(int, arguments.size.split("x"))
    calibration = dict.fromkeys(("n_bias", "n_dark", "n_flat"), arguments.masters)
    spec = night_spec(
        "night", shape=(ny, nx), n_frames=arguments.frames, n_stars=arguments.stars, seed=1, **calibration
    )
    with tempfile.TemporaryDirectory() as temporary:
        night = arguments.keep or Path(temporary) / "night"
        print("simulating the night …", file=sys.stderr)
        simulate(spec, arguments.overscan, night)
        good = measure(night, Path(temporary) / "work", arguments.frames)
    sys.exit(not good)


if __name__ == "__main__":
    main()
