"""What each step takes with one consumer, and what is done with one to five: the paper's tables 4 and 5, and figure 5.

`make bench-consumers`, or `python -m bench.consumers [--frames 60] [--size 1024] [--stars 600] [--most 5] [--rounds 3]
[--figure consumers.png]`. In each round all numbers of consumers have their turn.
"""

import argparse
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from statistics import median

from bench.consumers import figure, night_run
from bench.consumers.cores import CORES
from bench.consumers.night_run import NightRun
from bench.consumers.servers import servers
from services.steps import COMMANDS
from services.trials.simulate import night_spec, simulate

PARALLEL = ("calibrate", "align", "stack", "extract")
WHOLE = "the whole night"
GOAL = 1.85  # of two consumers over one, on two cores


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--stars", type=int, default=600)
    parser.add_argument("--most", type=int, default=5, help="consumers")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--figure", type=Path, default=Path("consumers.png"))
    return parser.parse_args()


def measure(asked: argparse.Namespace, folder: Path) -> dict[int, list[NightRun]]:
    """Runs by the number of consumers."""
    changes = {"n_frames": asked.frames, "shape": (asked.size, asked.size), "n_stars": asked.stars, "seed": 1}
    night = simulate(night_spec("night", **changes), folder / "night")
    runs: dict[int, list[NightRun]] = defaultdict(list)
    (folder / "servers").mkdir()
    with servers(folder / "servers") as both:
        for number in range(asked.rounds):
            for consumers in range(1, asked.most + 1):
                with tempfile.TemporaryDirectory(dir=folder) as place:
                    run = night_run.run(both, night, consumers, Path(place))
                runs[consumers].append(run)
                said = f"{run.span:.1f} s, others {run.cores.others:.2f} cores"
                print(f"… round {number + 1}, {consumers} consumers: {said}", file=sys.stderr, flush=True)
    return runs


def steps_table(run: NightRun) -> None:
    """The paper's table 4, of one run with one consumer."""
    print("| step | calls | CPU, % | peak memory, MB | read, kB/s | written, kB/s | execution time, s |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for command in COMMANDS:
        own = run.of(command)
        if not own:
            continue
        seconds = sum(one.seconds for one in own)
        cpu = 100 * sum(one.cpu for one in own) / seconds
        read, written = (sum(getattr(one, what) for one in own) / 1000 / seconds for what in ("read", "written"))
        memory = max(one.memory for one in own) / 1e6
        print(f"| `{command}` | {len(own)} | {cpu:.0f} | {memory:.0f} | {read:,.0f} | {written:,.0f} | {seconds:.2f} |")
    gaps = len(run.attempts) - 1
    print(f"| between processes, median {1000 * run.between():.1f} ms | {gaps} | | | | | {gaps * run.between():.2f} |")
    print(f"| all, from first start to last end | {len(run.attempts)} | | | | | {run.span:.2f} |\n")


def throughput(runs: dict[int, list[NightRun]], frames: int) -> dict[str, list[list[float]]]:
    """Of each step and number of consumers, the figures of all rounds: processes a second, of the night frames."""
    steps = {command: [[run.rate(command) for run in own] for own in runs.values()] for command in PARALLEL}
    return steps | {WHOLE: [[frames / run.span for run in own] for own in runs.values()]}


def throughput_table(rates: dict[str, list[list[float]]], runs: dict[int, list[NightRun]]) -> None:
    """The paper's table 5, medians."""
    print(f"| processes a second | {' | '.join(f'{n} consumers' for n in runs)} |")
    print(f"| --- |{' --- |' * len(runs)}")
    for step, values in rates.items():
        name = f"`{step}`" if step in PARALLEL else f"{step}, frames a second"
        print(f"| {name} | {' | '.join(f'{median(own):.2f}' for own in values)} |")
    gaps = [1000 * median(run.between() for run in own) for own in runs.values()]
    print(f"| ms between processes of a worker | {' | '.join(f'{gap:.1f}' for gap in gaps)} |\n")


def speed_up(rates: dict[str, list[list[float]]]) -> dict[str, list[tuple[float, float, float]]]:
    """Median, least and most of the rounds' ratios to one consumer in the same round."""
    ratios = {
        step: [[b / a for a, b in zip(values[0], own, strict=True)] for own in values] for step, values in rates.items()
    }
    return {step: [(median(own), min(own), max(own)) for own in values] for step, values in ratios.items()}


def limits_table(runs: dict[int, list[NightRun]], frames: int) -> None:
    """Cores by whom they were used, in the median round by its span, and what that limits."""
    names = ("workers", "consumers", "manager", "MariaDB", "RabbitMQ")
    print(f"| consumers | night, s | CPU of ours, ms a frame | {' | '.join(names)} | others | disk | idle | limit |")
    print(f"| --- |{' --- |' * 11}")
    for consumers, own in runs.items():
        run = sorted(own, key=lambda one: one.span)[len(own) // 2]
        used = [*(run.cores.programs[name] for name in names), run.cores.others, run.cores.waiting, run.cores.idle]
        cells = " | ".join(f"{cores:.2f}" for cores in used)
        each = 1000 * run.cores.own * run.cores.seconds / frames
        print(f"| {consumers} | {run.span:.1f} | {each:.0f} | {cells} | {run.cores.limit(consumers)} |")
    print()


def main() -> None:
    asked = options()
    with tempfile.TemporaryDirectory(prefix="tianyu-consumers-") as temporary:
        runs = measure(asked, Path(temporary))
    print(f"{asked.frames} frames of {asked.size}², {asked.stars} stars, {CORES} cores, {asked.rounds} rounds\n")
    steps_table(sorted(runs[1], key=lambda run: run.span)[len(runs[1]) // 2])
    rates = throughput(runs, asked.frames)
    throughput_table(rates, runs)
    limits_table(runs, asked.frames)
    speed = speed_up(rates)
    figure.draw(speed, CORES, asked.figure)
    print(f"figure {asked.figure}")
    if asked.most > 1:
        for step, values in speed.items():
            middle, low, high = values[1]
            print(f"two consumers over one, {step}: {middle:.2f} ({low:.2f} to {high:.2f})")
        alone = median(run.alone() for run in runs[1])
        print(
            f"steps of one process take {100 * alone:.0f} %: two consumers are at most {2 / (1 + alone):.2f} (Amdahl)"
        )
        print(f"goal, on two cores with nothing beside: {GOAL}")


if __name__ == "__main__":
    main()
