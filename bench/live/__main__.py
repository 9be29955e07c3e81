"""Frames come at a rate: how many are kept up with, and how long after its file was closed each is in the light curves.

`python -m bench.live --rate 20 --seconds 60` (128 x 128 pixels), `python -m bench.live --size 2048 --stars --rate 0.2
--before 100 --seconds 40`: at 100 frames of a night. The sky is known from another night, the catalogue is none.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench.engine.report import percentile
from bench.live.camera import Camera, put
from bench.live.night import KNOWN_FRAMES, make_night
from bench.live.observer import SECONDS, Observer

WORKER = "tianyu-worker"  # as the system shows it
QUIET_S = 10.0  # without a new light curve nothing more is expected
TIANYU = (sys.executable, "-m", "services.cli.app")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=128, help="pixels of a side")
    parser.add_argument("--rate", type=float, default=20.0, help="frames a second")
    parser.add_argument("--seconds", type=float, default=60.0, help="for so long")
    parser.add_argument("--before", type=int, default=0, help="frames that the night has already")
    parser.add_argument("--consumers", type=int, default=2)
    arguments = parser.parse_args()
    os.environ["TIANYU_CATALOG"] = "none"
    with tempfile.TemporaryDirectory() as temporary:
        measure(Path(temporary), arguments)


def measure(folder: Path, arguments: argparse.Namespace) -> None:
    print("simulating …", flush=True)
    known = make_night(folder / "known", arguments.size, KNOWN_FRAMES, seed=1)
    number = arguments.before + round(arguments.rate * arguments.seconds)
    live = make_night(folder / "pool", arguments.size, number, seed=2)
    work, raw = folder / "work", folder / "raw"
    raw.mkdir()
    run(["run", str(known.lights[0].parent), "--workdir", str(work), "--no-plots"])
    put([*live.calibration, *live.lights[: arguments.before]], raw)
    observer, camera = Observer(work), Camera(live.lights[arguments.before :], raw, arguments.rate)
    command = ["watch", str(raw), "--workdir", str(work), "--consumers", str(arguments.consumers)]
    with (folder / "log").open("wb") as log:
        watching = subprocess.Popen([*TIANYU, *command], stdout=log, stderr=log)
    try:
        if arguments.before:
            observer.follow(lambda: len(observer.shown) > 0 and observer.unfinished == 0)
        else:
            time.sleep(QUIET_S)  # the program starts, and takes the calibration frames
        before = cpu_seconds(watching.pid)
        camera.thread.start()
        observer.follow(lambda: not camera.thread.is_alive())
        measured, shown = observer.count("extract", "succeeded"), len(observer.shown)
        observer.follow(Last(observer).is_quiet)
        cpu = {program: used - before.get(program, 0.0) for program, used in cpu_seconds(watching.pid).items()}
    finally:
        watching.send_signal(signal.SIGINT)
        watching.wait()
    print((folder / "log").read_text(errors="replace")[-300:])
    report(arguments, camera, observer, Kept(measured - arguments.before, shown - arguments.before, cpu))


@dataclass(frozen=True)
class Kept:
    """Frames measured, and in light curves, when the last one had just come; CPU seconds until all were done.

    By program: `watch` is the manager too.
    """

    measured: int
    shown: int
    cpu: dict[str, float]


class Last:
    """Whether nothing new came for a while and nothing is at work."""

    def __init__(self, observer: Observer) -> None:
        self._observer, self._count, self._since = observer, -1, time.monotonic()

    def is_quiet(self) -> bool:
        count = len(self._observer.shown)
        if count != self._count or self._observer.unfinished:
            self._count, self._since = count, time.monotonic()
        return time.monotonic() - self._since > QUIET_S


def report(arguments: argparse.Namespace, camera: Camera, observer: Observer, kept: Kept) -> None:
    shown, closed = observer.shown, camera.closed
    number, seconds = len(closed), max(closed.values()) - min(closed.values())
    lags = [shown[name] - at for name, at in closed.items() if name in shown]
    print(
        f"{arguments.size} x {arguments.size} pixels, {arguments.before} frames before, {arguments.consumers} workers"
    )
    print(f"  arrival        {camera.rate:.2f} frames a second for {seconds:.0f} s: {number} frames")
    print(
        f"  kept           {kept.measured / seconds:.2f} a second measured, {kept.shown / seconds:.2f} in light curves"
    )
    print(f"  at the end     {number - kept.measured} not measured, {number - kept.shown} not in light curves")
    if lags:
        newest = f", of the last third {percentile(lags[-max(len(lags) // 3, 1) :], 50):.2f} s"
        print(f"  lag            median {percentile(lags, 50):.2f} s, 95 % {percentile(lags, 95):.2f} s{newest}")
    print(f"  never shown    {number - len(lags)} frames")
    programs = ", ".join(f"{program} {1000 * used / number:.1f}" for program, used in kept.cpu.items())
    print(f"  CPU            {1000 * sum(kept.cpu.values()) / number:.1f} ms a frame: {programs}")
    for command, count, wall, used in observer.ask(SECONDS):
        each, cpu = 1000 * wall / count, 1000 * (used or 0.0) / count
        print(f"    {command:<20}{count:6} of {each:7.1f} ms, {cpu:7.1f} ms of CPU")


def cpu_seconds(root: int) -> dict[str, float]:
    """Of a program and all that it started, by now."""
    parents, used, names = {}, {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            name, fields = (folder / "stat").read_text().partition("(")[2].rpartition(")")[::2]
        except OSError:
            continue
        number, values = int(folder.name), fields.split()
        parents[number], used[number], names[number] = int(values[1]), sum(map(int, values[11:15])), name
    found: dict[str, float] = {}

    def add(pid: int) -> None:
        name = "watch" if pid == root else "workers" if names[pid] == WORKER else "consumer"
        found[name] = found.get(name, 0.0) + used[pid] / os.sysconf("SC_CLK_TCK")
        for child in [child for child, parent in parents.items() if parent == pid]:
            add(child)

    add(root)
    return found


def run(command: list[str]) -> None:
    """A command of Tianyu's to its end."""
    done = subprocess.run([*TIANYU, *command], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"tianyu {command[0]} ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


if __name__ == "__main__":
    main()
