"""``python -m tests.chaos``: long campaigns over several seeds; prints figures as a table for the documentation.

Taken from the environment: CHAOS_SEEDS (numbers), CHAOS_KILLS and CHAOS_EMBEDDED_KILLS (of each seed), CHAOS_FRAMES.
"""

import os
import sys
import tempfile
from collections import Counter
from pathlib import Path

from services import log
from tests.chaos import campaign, checks, embedded
from tests.chaos.campaign import Outcome
from tests.chaos.nights import make_night
from tests.chaos.plan import Kind, make_embedded_plan, make_plan, make_restart_plan
from tests.chaos.servers import Servers
from tests.chaos.snapshot import Snapshot
from tests.chaos.system import PROGRAMS

RESTART_SEED = 1
SEEDS, KILLS, EMBEDDED_KILLS, FRAMES = "1 2 3", 100, 20, 400  # 1,300 processes


def say(line: str) -> None:
    """To the person who waits; the table alone goes to standard output."""
    sys.stderr.write(line + "\n")


def judge(undisturbed: Snapshot, outcome: Outcome) -> list[str]:
    """All that is wrong with an outcome."""
    return outcome.wrong + checks.differences(undisturbed, outcome.snapshot)


class Table:
    """Figures of one campaign a row, and the sum of its disturbances by kind."""

    def __init__(self) -> None:
        self.rows: list[str] = []
        self.events: Counter[Kind] = Counter()
        self.hits: Counter[Kind] = Counter()

    def add(self, name: str, outcome: Outcome, undisturbed: Outcome) -> bool:
        """Add a campaign; whether nothing is wrong with it."""
        wrong = judge(undisturbed.snapshot, outcome)
        for line in wrong:
            say(f"{name}: {line}")
        same = "to the last bit" if checks.bit_equal(undisturbed.snapshot, outcome.snapshot) else "within 1e-12"
        self.rows.append(
            f"| {name} | {outcome.processes} | {outcome.kills} | {sum(outcome.events.values()) - outcome.kills} "
            f"| {sum(outcome.attempts.values())} | {outcome.lost} | {outcome.seconds:.0f} s "
            f"({outcome.seconds / undisturbed.seconds:.1f}) | {outcome.snapshot.rows} | {len(outcome.snapshot.files)} "
            f"| {'**no**, ' + str(len(wrong)) + ' differences' if wrong else same} |"
        )
        self.events += outcome.events
        self.hits += outcome.hits
        return not wrong

    def text(self) -> str:
        """Markdown."""
        heads = (
            "run",
            "processes",
            "kills",
            "other",
            "attempts",
            "lost",
            "time (of undisturbed)",
            "rows",
            "files",
            "same",
        )
        lines = ["| " + " | ".join(heads) + " |", "| --- " * len(heads) + "|", *self.rows, ""]
        lines += ["| disturbance | times | hit |", "| --- | --- | --- |"]
        for kind in Kind:
            if self.events[kind]:
                lines.append(f"| {kind.value} | {self.events[kind]} | {self.hits[kind]} |")
        return "\n".join(lines) + "\n"


def main() -> int:
    """Run all campaigns; 1 if anything was wrong."""
    seeds = [int(seed) for seed in os.environ.get("CHAOS_SEEDS", SEEDS).replace(",", " ").split()]
    kills = int(os.environ.get("CHAOS_KILLS", KILLS))
    embedded_kills = int(os.environ.get("CHAOS_EMBEDDED_KILLS", EMBEDDED_KILLS))
    log.configure(level="WARNING")
    os.environ.setdefault("TIANYU_CATALOG", "none")  # a catalogue that is away is not among the disturbances
    table, good = Table(), True
    with tempfile.TemporaryDirectory(prefix="tianyu-chaos-") as work:
        folder = Path(work)
        night = make_night(folder / "night", int(os.environ.get("CHAOS_FRAMES", FRAMES)))
        servers = Servers.start(folder / "servers")
        try:
            calm = campaign.run(campaign.prepare(servers, night, folder / "calm", "calm"))
            good &= table.add("undisturbed", calm, calm)
            restarts = make_restart_plan(RESTART_SEED, calm.processes, PROGRAMS)
            system = campaign.prepare(servers, night, folder / "restarts", "restarts")
            good &= table.add("each program restarted", campaign.run(system, restarts), calm)
            calm_run = embedded.run(night, folder / "calm-run", ())
            for seed in seeds:
                plan = make_plan(seed, calm.processes, kills)
                say(f"seed {seed}: {len(plan)} disturbances over {calm.processes} processes")
                system = campaign.prepare(servers, night, folder / f"seed-{seed}", f"seed{seed}")
                good &= table.add(f"seed {seed}", campaign.run(system, plan), calm)
            good &= table.add("`tianyu run`, undisturbed", calm_run, calm_run)
            for seed in seeds:
                plan = make_embedded_plan(seed, calm.first, embedded_kills)
                outcome = embedded.run(night, folder / f"embedded-{seed}", plan)
                good &= table.add(f"`tianyu run`, seed {seed}", outcome, calm_run)
        finally:
            servers.stop()
    sys.stdout.write(table.text())
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
