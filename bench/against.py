"""``python -m bench.against COMMIT pipeline|engine [ARGUMENTS]``: this checkout beside another commit, in one run.

The other commit is checked out and installed in a temporary folder, with an environment of its own. Rounds of the two
take turns, so that what else the machine does concerns both; each round's figures are compared with each other. The
pipeline's are of `tianyu run` on one simulated night; the engine's are those that each commit's own `bench.engine`
prints, on the same servers. ARGUMENTS go to the bench, as in `make bench-engine`.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench import pipeline_bench
from bench.engine.report import number
from tests.servers import env

HERE = Path(__file__).resolve().parents[1]
ROUNDS = 5
WORSE = 1.05  # times: a median above it is named, where all rounds say the same
ENGINE = ("--only", "overhead", "latency", "publishing", "--repeats", "1")  # where no arguments are given
ROW = re.compile(r"\| (?P<what>[^|]+) \| (?P<value>[\d,.]+) (?P<unit>\S+) \|")  # of a table of `bench.engine.report`

Figures = dict[str, tuple[float, str]]  # value and unit by what was measured


@dataclass(frozen=True)
class Checkout:
    """A commit, or the working tree, that can be run."""

    name: str
    folder: Path

    @property
    def python(self) -> str:
        return str(self.folder / ".venv" / "bin" / "python")


def git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=HERE, check=True, capture_output=True, text=True).stdout.strip()


@contextmanager
def checked_out(commit: str) -> Iterator[Checkout]:
    """A commit with its own environment, gone afterwards."""
    name = git("rev-parse", "--short", f"{commit}^{{commit}}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "tianyu"
        git("worktree", "add", "--detach", str(folder), name)
        try:
            print(f"… installing {name}", file=sys.stderr, flush=True)
            subprocess.run(["make", "env"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
            yield Checkout(name, folder)
        finally:
            git("worktree", "remove", "--force", str(folder))


def engine(arguments: Sequence[str]) -> Callable[[Checkout], Figures]:
    """Figures of one run of a checkout's own bench of the engine."""
    remembered = {name: url for name, url in env.read(env.FILE).items() if url is not None}

    def measure(checkout: Checkout) -> Figures:
        done = subprocess.run(
            [checkout.python, "-m", "bench.engine", *(arguments or ENGINE)],
            cwd=checkout.folder,
            env=os.environ | remembered,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        rows = ROW.finditer(done.stdout)
        return {row["what"]: (float(row["value"].replace(",", "")), row["unit"]) for row in rows}

    return measure


def pipeline(arguments: Sequence[str], folder: Path) -> Callable[[Checkout], Figures]:
    """Figures of one `tianyu run` of a checkout on a night that is simulated once."""
    night = pipeline_bench.simulated(pipeline_bench.parser().parse_args(arguments), folder)

    def measure(checkout: Checkout) -> Figures:
        run = pipeline_bench.tianyu_run(night, Path(tempfile.mkdtemp(dir=folder)), checkout.python, checkout.folder)
        steps = {f"all {command}": (seconds, "s") for command, _, seconds in run.processes}
        return {
            "command to first process": (run.start_s, "s"),
            "CPU until then": (run.start_cpu, "s"),
            "command to end": (run.seconds, "s"),
            "CPU of all processes": (run.cpu, "s"),
            "all steps": (run.in_steps, "s"),
            "memory of the consumer": (run.memory_bytes / 1e6, "MB"),
        } | steps

    return measure


def take_turns(
    other: Checkout, this: Checkout, rounds: int, measure: Callable[[Checkout], Figures]
) -> list[tuple[Figures, Figures]]:
    """Figures of the other and of this, a pair a round; each begins every second round."""
    found = []
    for number_of_round in range(rounds):
        pair = (other, this) if number_of_round % 2 == 0 else (this, other)
        print(f"… round {number_of_round + 1} of {rounds}", file=sys.stderr, flush=True)
        of_each = {checkout.name: measure(checkout) for checkout in pair}
        found.append((of_each[other.name], of_each[this.name]))
    return found


def report(other: str, this: str, pairs: Sequence[tuple[Figures, Figures]]) -> list[str]:
    """A Markdown table of what all rounds of both measured, and what became worse."""
    lines = [f"| measured | {other} | {this} | ratio | range |", "| --- | ---: | ---: | ---: | ---: |"]
    worse = []
    for what, (_, unit) in pairs[0][0].items():
        if all(what in before and what in after and before[what][0] for before, after in pairs):
            values = [(before[what][0], after[what][0]) for before, after in pairs]
            ratios = [after / before for before, after in values]
            old, new = (number(median(side)) for side in zip(*values, strict=True))
            spread = f"{min(ratios):.2f} – {max(ratios):.2f}"
            lines.append(f"| {what} | {old} {unit} | {new} {unit} | {median(ratios):.2f} | {spread} |")
            if is_worse(ratios, unit):
                worse.append(f"{what} ({median(ratios):.2f}, {spread})")
    found = "; ".join(worse) or "nothing"
    return [*lines, "", f"worse in each of {len(pairs)} rounds, by more than {WORSE - 1:.0%} in their median: {found}"]


def is_worse(ratios: Sequence[float], unit: str) -> bool:
    """Whether ratios of new over old are more than noise gives; of rates the smaller is the worse."""
    slower = [1.0 / ratio if unit.endswith("/s") else ratio for ratio in ratios]
    return min(slower) > 1.0 and median(slower) > WORSE


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commit", help="of which the figures stand beside")
    parser.add_argument("bench", choices=("pipeline", "engine"))
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"of each (default {ROUNDS})")
    options, arguments = parser.parse_known_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # the other checkout goes with the temporary folder
    this = Checkout(git("describe", "--always", "--dirty=, changed"), HERE)
    with tempfile.TemporaryDirectory() as folder, checked_out(options.commit) as other:
        measure = engine(arguments) if options.bench == "engine" else pipeline(arguments, Path(folder))
        pairs = take_turns(other, this, options.rounds, measure)
    print("\n".join(report(other.name, this.name, pairs)))


if __name__ == "__main__":
    main()
