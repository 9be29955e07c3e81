"""How long a process takes from being published to being done, while nobody asks and while a thousand ask at once."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable

from bench.engine import graphs
from bench.engine.programs import CHECKOUT, BenchError
from bench.engine.report import percentile
from bench.engine.stack import Stack
from bench.web.service import Service

MS = 1e3
BETWEEN_S, LOOK_S = 0.2, 0.02
AT_LEAST = 10  # processes


def latencies(stack: Stack, goes_on: Callable[[int], bool]) -> list[float]:
    """Milliseconds from before publishing to the end, of single processes, one after the other."""
    taken = []
    while goes_on(len(taken)):
        began, [process] = stack.now(), graphs.independent(1)
        stack.publish([process])
        stack.wait_for_ends([process], 1)
        [attempt] = stack.times(process.pid, 1)
        taken.append(MS * (attempt.end - began))
        time.sleep(BETWEEN_S)
    return taken


def in_a_storm(stack: Stack, service: Service, quiet: int, seconds: float) -> tuple[dict[str, str], dict[str, int]]:
    """What is told of it, and how many answers had which status."""
    before = latencies(stack, lambda done: done < quiet)
    memory, engine, used, began = service.peak_mb(), stack.cpu_seconds(), service.cpu(), time.monotonic()
    command = [sys.executable, "-m", "bench.web.storm", str(service.port), str(seconds)]
    with subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True, env=os.environ) as program:
        during = latencies(stack, lambda done: program.poll() is None or done < AT_LEAST)
        assert program.stdout is not None
        told = json.loads(program.stdout.read() or "null")
    if told is None:
        raise BenchError("the storm ended before it should")
    took = time.monotonic() - began
    after = latencies(stack, lambda done: done < AT_LEAST)
    answers: dict[str, int] = told["answers"]
    return {
        "questions, a thousand at once every three seconds": f"{told['asked']:,}",
        "answers by status": ", ".join(f"{status}: {count:,}" for status, count in sorted(answers.items())),
        "the longest until its answer ended": f"{told['longest']:.1f} s",
        "process published to done, before: p50, p95, longest": _three(before),
        "in the storm": _three(during),
        "ratio of p50, in the storm to before": f"{percentile(during, 50) / percentile(before, 50):.2f}",
        "after it": _three(after),
        "processes in the storm": f"{len(during):,}",
        "most memory of the service, before and in the storm": f"{memory:.0f} and {service.peak_mb():.0f} MB",
        "CPU of service and database in the storm": f"{service.cpu() - used:.0f} s of {took:.0f}",
        "CPU of the engine's programs": f"{sum(stack.cpu_seconds().values()) - sum(engine.values()):.1f} s",
    }, answers


def _three(values: list[float]) -> str:
    return f"{percentile(values, 50):.0f}, {percentile(values, 95):.0f}, {max(values):.0f} ms"
