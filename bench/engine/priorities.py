"""Live work that comes while a backfill runs: how long it takes, and how much of the backfill goes before it."""

from collections import defaultdict

from bench.engine import graphs
from bench.engine.report import Row
from bench.engine.stack import Stack

BACKFILL_PRIORITY, LIVE_PRIORITY = 10, 0  # smaller first
CONSUMERS = 2
UNDER_WAY = 0.1  # of the backfill is done when the live work comes


def measure(stack: Stack, backfill: int, live: int, repeats: int) -> list[Row]:
    """Rows for ``live`` processes published into a backfill of ``backfill``."""
    stack.start(CONSUMERS)
    series: dict[tuple[str, str], list[float]] = defaultdict(list)
    for _ in range(repeats):
        slow, urgent = graphs.independent(backfill, BACKFILL_PRIORITY), graphs.independent(live, LIVE_PRIORITY)
        with stack.held_back():
            stack.publish(slow)
        stack.wait_for_ends(slow, int(UNDER_WAY * backfill))
        stack.publish(urgent)
        published = stack.now()
        stack.wait_finished()
        behind, ahead = stack.times(slow[0].pid, backfill), stack.times(urgent[0].pid, live)
        last_start = max(one.start for one in ahead)
        series["published to first start", "s"].append(min(one.start for one in ahead) - published)
        series["published to last end", "s"].append(max(one.end for one in ahead) - published)
        served = sum(published < one.start < last_start for one in behind)
        series["backfill processes served after that and before the last of them", ""].append(served)
        series["backfill processes left for later", ""].append(sum(one.start > last_start for one in behind))
    what = f"{live:,} live among {backfill:,} backfill, {CONSUMERS} consumers"
    return [Row(f"{what}: {name}", unit, values) for (name, unit), values in series.items()]
