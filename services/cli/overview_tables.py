"""The overview of `tianyu status` as tables and lines for a terminal."""

from collections.abc import Iterable, Sequence

from rich.table import Table
from rich.text import Text

from schema.processes import CANCELLED, FAILED, QUEUED, RUNNING, SKIPPED, SUCCEEDED, UNSUCCESSFUL, WAITING
from schema.queries.stragglers import Straggler
from services.alike import gather, gist, named
from services.chosen import Chosen
from services.cli.console import note, out, table_of
from services.cli.master_lines import master_lines
from services.engine.broker import work_queue
from services.operating.status import Hindered, LiveService, ObservationStatus, Overview, Retry, Stuck
from services.operating.status.stuck import dead_letters, dead_letters_remedy
from services.operating.status.work import AtWork

LINES = 20  # of one kind; --json has all
STATES_SHOWN = (SUCCEEDED, RUNNING, QUEUED, WAITING, FAILED, SKIPPED, CANCELLED)
COLOURS = {SUCCEEDED: "green", RUNNING: "cyan", FAILED: "bold red", SKIPPED: "magenta", CANCELLED: "magenta"}


def show(found: Overview, *, one: bool) -> None:
    """Print it: ``one`` observation by command, or all in a table; then what wants attention, then who is there."""
    if not found.observations:
        note("there are no observations yet: `tianyu ingest RAW_DIR` registers frames")
    else:
        out.print(_observations(found))
    if one:
        for observation in found.observations:
            if observation.commands:
                out.print(_commands(observation))
                out.print(Text(published_by(observation.published_by)), soft_wrap=True)
            for line in master_lines(observation.masters, refusals=any(one.why_not for one in observation.masters)):
                out.print(Text(line), soft_wrap=True)
    if found.running:
        out.print(_running(found.running[:LINES]))
        _more(len(found.running) - LINES, "at work")
    _stragglers(found.stragglers)
    for observation in found.observations:
        for master in observation.failed_masters:
            _line(f"observation {observation.observation_id}", "bold red", master.says(observation.observation_id))
    _notes(found.observations)
    _unread(found.unread)
    _failures(found.observations)
    _retries(found.retrying)
    _hindered(found.hindered)
    _stuck(found.stuck)
    if found.services or any(queue.unstarted or queue.dead_letters for queue in found.queues):
        _services(found)


def published_by(chosen: Sequence[Chosen]) -> str:
    """The version and the choices in a line."""
    return f"published by {'; then by '.join(map(str, chosen)) or 'a version that did not store its choices'}"


def _observations(found: Overview) -> Table:
    numbers = ("frames", "rejected", "done", "failed")
    at_sites = len({one.site for one in found.observations}) > 1
    settings = len({(one.setting, one.geometry) for one in found.observations}) > 1
    words = ("id", *("site",) * at_sites, "kind", "target", "filter", "exposure", *("setting",) * settings)
    right, wrapped = ("exposure", *numbers), ("kind", "target", "filter", "setting")
    table = table_of(*words, "night", *numbers, "state", right=right, wrapped=wrapped)
    stuck = {item.observation_id for item in found.stuck}
    for one in found.observations:
        failed = one.count(FAILED)
        table.add_row(
            str(one.observation_id),
            *(one.site,) * at_sites,
            one.kind,
            one.target,
            one.filter,
            f"{one.exposure_s:g} s" if one.exposure_s else "",
            *(", ".join(part for part in (one.setting, one.geometry) if part),) * settings,
            str(one.night),
            str(one.frames),
            str(one.frames_rejected),
            f"{one.count(SUCCEEDED)}/{one.expected}" if one.expected else "",
            Text(str(failed), COLOURS[FAILED]) if failed else "",
            _state(one, one.observation_id in stuck),
        )
    return table


def _state(one: ObservationStatus, stuck: bool) -> Text:
    if one.graph_pid is None:
        return Text("not published", "dim")
    if not one.finished:
        counts = [(state, one.count(state)) for state in (WAITING, QUEUED, RUNNING)]
        parts = [f"{count} {state}" for state, count in counts if count]
        if one.older_unfinished:
            parts.append(f"{one.older_unfinished} of an older graph")
        text = Text(", ".join(parts), "yellow")
        return text.append(", stuck", "bold red") if stuck else text
    if one.kind == "light":
        if one.stopped_after is not None and one.end == SUCCEEDED:
            return Text(f"stopped after {one.stopped_after}", "green")
        if one.end == SUCCEEDED:
            return Text("light curves made", "green")
        ended = "cancelled" if one.end == CANCELLED else "failed" if one.light_curves else "no light curves"
        return Text(f"{ended}; light curves of before" if one.light_curves else ended, "bold red")
    return Text("done", "green") if not one.count(*UNSUCCESSFUL) else Text("done, with failures", "red")


def _commands(one: ObservationStatus) -> Table:
    table = table_of("command", "expected", *STATES_SHOWN, right=("expected", *STATES_SHOWN))
    for command in one.commands:
        counts = [
            Text(str(command.counts[state]), COLOURS.get(state, "")) if command.counts[state] else Text("·", "dim")
            for state in STATES_SHOWN
        ]
        table.add_row(command.command, str(command.total), *counts)
    return table


def _running(work: Sequence[AtWork]) -> Table:
    headings = ("at work: PID", "command", "obs", "attempt", "worker", "host", "since (UTC)", "lease")
    table = table_of(*headings, right=("lease",), wrapped=("command", "worker", "host"))
    for one in work:
        run = one.running
        lease = "none" if run.lease_s is None else f"{run.lease_s:.0f} s" if run.lease_s > 0 else "expired"
        table.add_row(
            str(run.pid),
            run.command,
            "" if one.observation_id is None else str(one.observation_id),
            str(run.attempt),
            run.worker,
            run.host,
            f"{run.since:%Y-%m-%d %H:%M:%S}",
            Text(lease, "bold red" if run.lease_s is None or run.lease_s <= 0 else ""),
        )
    return table


def _stragglers(found: Sequence[Straggler]) -> None:
    for one in found[:LINES]:
        besides = "another attempt is offered or at work beside it" if one.doubled else "nobody else is at work on it"
        _line(
            "straggler",
            "bold yellow",
            f"{one.command} of observation {one.observation_id} by {one.worker} on {one.host}, "
            f"for {one.seconds:.0f} s, such take {one.usual_s:.2g} s; {besides} [PID {one.pid}]",
        )
    _more(len(found) - LINES, "stragglers")


def _of(count: int, what: str, observations: Iterable[int | None]) -> str:
    """``count`` processes of which observations."""
    known = sorted({one for one in observations if one is not None})
    whose = f" of {named(known)}" if known else ""
    return f"{count} {what} process{'es' if count != 1 else ''}{whose}".replace("  ", " ")


def _pids(pids: Sequence[int], count: int) -> str:
    return "PID " + ", ".join(map(str, pids)) + (", …" if count > len(pids) else "")


def _more(left: int, what: str) -> None:
    if left > 0:
        note(f"… and {left} more {what} (--json has all)")


def _line(kind: str, style: str, text: str) -> None:
    out.print(Text(f"{kind}: ", style).append(text, "default not bold"), soft_wrap=True)


def _notes(observations: Sequence[ObservationStatus]) -> None:
    noted = gather([(one.observation_id, line) for one in observations for line in one.notes], lambda item: item[1])
    for group in noted[:LINES]:
        _line(named([one for one, _ in group]), "yellow", group[0][1])
    _more(len(noted) - LINES, "notes on frames")


def _unread(reasons: Sequence[str]) -> None:
    alike = gather(reasons, gist)
    for group in alike[:LINES]:
        count = f"{len(group)} files: for example " if len(group) > 1 else ""
        _line("rejected, in no observation", "yellow", f"{count}{group[0]}")
    _more(len(alike) - LINES, "reasons of files in no observation")


def _failures(observations: Sequence[ObservationStatus]) -> None:
    failed = [(one.observation_id, group) for one in observations for group in one.failure_groups]
    alike = gather(failed, lambda item: (item[1].command, item[1].error_class, item[1].gist))
    for group in alike[:LINES]:
        _, first = group[0]
        count = sum(item.count for _, item in group)
        pids = sorted(pid for _, item in group for pid in item.pids)[: len(first.pids)]
        whose = _of(count, first.command, (observation for observation, _ in group))
        example = "for example " if count > 1 else ""
        _line(
            "failed",
            "bold red",
            f"{whose} ({first.error_class or 'no class'}): {example}{first.error} [{_pids(pids, count)}]",
        )
    _more(len(alike) - LINES, "kinds of failures")
    read = sum(group.count for _, group in failed)
    _more(sum(one.count(FAILED) for one in observations) - read, "failed processes")


def _retries(retrying: Sequence[Retry]) -> None:
    alike = gather(retrying, lambda one: (one.command, one.attempt, one.max_attempts, one.gist))
    for group in alike[:LINES]:
        first = group[0]
        count = sum(one.count for one in group)
        whose = _of(count, first.command, (one.observation_id for one in group))
        if first.is_planned:
            text = (
                f"{whose}, first at {first.next_at:%Y-%m-%d %H:%M:%S} UTC: {first.error} [{_pids(first.pids, count)}]"
            )
            _line("will begin", "green", text)
            continue
        _line(
            "will be retried",
            "yellow",
            f"{whose}, next at {first.next_at:%H:%M:%S} UTC (in {first.next_in_s:.0f} s), after attempt "
            f"{first.attempt} of {first.max_attempts}: {first.error} [{_pids(first.pids, count)}]",
        )
    _more(len(alike) - LINES, "kinds of retries")


def _hindered(found: Sequence[Hindered]) -> None:
    for one in found[:LINES]:
        text = f"{hindrance(one)} [{_pids(one.pids, one.count)}]"
        _line("waits for its surroundings", "bold yellow", text)
    _more(len(found) - LINES, "observations whose surroundings are waited for")


def hindrance(one: Hindered) -> str:
    """What is waited for, in a line."""
    whose = _of(one.count, "", [one.observation_id])
    return f"{whose}, since {one.since:%Y-%m-%d %H:%M:%S} UTC, next try in {one.next_in_s:.0f} s: {one.reason}"


def _stuck(found: Sequence[Stuck]) -> None:
    alike = gather(found, lambda one: (one.reason, one.why, one.remedy))
    for group in alike[:LINES]:
        first, count = group[0], sum(one.count for one in group)
        whose = _of(count, "", (one.observation_id for one in group))
        _line("stuck", "bold red", f"{whose}: {first.why}; {first.remedy} [{_pids(first.pids, count)}]")
    _more(len(alike) - LINES, "reasons why something is stuck")


def _services(found: Overview) -> None:
    headings = ("services", "state", "site", "groups", "slots", "host", "since (UTC)")
    table = table_of(*headings, right=("slots",), wrapped=("site", "groups", "host"))
    for service in found.services:
        table.add_row(*_service(service))
    if found.services:
        out.print(table)
        _troubles(found.services)
    else:
        out.print(Text("services: none is alive", "bold red"))
    for queue in found.queues:
        if queue.dead_letters:
            name = work_queue(queue.site, queue.group)
            _line("dead letters", "yellow", f"{dead_letters(name, queue.dead_letters)}; {dead_letters_remedy(name)}")
    busy = [one for one in found.queues if one.unstarted or one.running or one.consumers or one.paused_since]
    if not busy:
        return
    numbers = ("ready", "queued", "delayed", "running", "consumers", "slots")
    table = table_of("queue", *numbers, "", right=numbers, wrapped=("queue", ""))
    for queue in busy:
        counts = (queue.ready, queue.queued, queue.delayed, queue.running, queue.consumers, queue.slots)
        marks = [f"paused since {queue.paused_since:%Y-%m-%d %H:%M:%S}"] if queue.paused_since is not None else []
        marks += [f"{queue.holding} of the consumers hold"] if queue.holding else []
        table.add_row(f"{queue.site}.{queue.group}", *map(str, counts), Text(", ".join(marks), "bold yellow"))
    out.print(table)


def _troubles(services: Sequence[LiveService]) -> None:
    """What hinders services, or did lately; consumers of one site mostly share it."""
    troubled = [(one, one.trouble) for one in services if one.trouble is not None]
    alike = gather(troubled, lambda item: (item[0].kind, item[1].until is None, item[1].reason))
    for group in alike[:LINES]:
        service, trouble = group[0]
        whose = f"{service.kind} on {service.host}" + (f" and {len(group) - 1} more" if len(group) > 1 else "")
        kind, style = ("trouble", "bold red") if trouble.until is None else ("trouble, over", "yellow")
        _line(kind, style, f"{whose}, {trouble}")
    _more(len(alike) - LINES, "troubles of services")


def _service(service: LiveService) -> tuple[Text | str, ...]:
    return (
        service.kind,
        Text(service.state, "green" if service.state == "active" else ""),
        service.site or "",
        ", ".join(service.groups),
        str(service.slots) if service.slots else "",
        service.host,
        f"{service.since:%Y-%m-%d %H:%M:%S}",
    )
