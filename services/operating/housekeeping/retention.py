"""Retention by policy: what the table `[retention]` of the settings lets go, by the rules of `tianyu gc` and no others.

Each rule that has a number of days is one call of what `tianyu gc` calls, so that nothing goes that anything needs.
What was removed stands in table ``retention_run``.
"""

import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from sqlalchemy import Engine

from schema import database
from schema.image import CALIBRATED
from schema.queries import housekeeping, old_attempts, pruning
from services.deployment import Retention
from services.errors import ConfigurationError
from services.operating.housekeeping.collect import DAY_S, collect, site_at_root
from services.operating.housekeeping.image_kinds import MADE, PARTIAL
from services.operating.housekeeping.prune import Policy as RowsPolicy
from services.operating.housekeeping.prune import prune
from services.settings import Settings

ROWS, ATTEMPTS = "replaced_rows_days", "attempts_days"
REASON_MOST = 4000  # characters of a call's failures that are kept
HOST = socket.gethostname()[:128]


@dataclass(frozen=True)
class Gone:
    """What one rule removed, or would remove, of one observation (None: of none, or of all).

    ``what``: kind of the files, or `graph`, `calibrations`, `attempts`; ``rows``: of measurements or attempts, of
    measurements in a dry run at most.
    """

    rule: str
    observation_id: int | None
    what: str
    files: int = 0
    size_bytes: int = 0
    rows: int = 0


@dataclass
class Outcome:
    """What one call removed, what it could not remove and why, and what it left alone."""

    gone: list[Gone] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def policy_of_rule(rule: str, days: float) -> housekeeping.Policy:
    """What one rule of images lets go: nothing besides."""
    kinds = {"calibrated_days": {CALIBRATED}, "partial_days": set(PARTIAL)}.get(rule, set())
    return housekeeping.Policy(
        MADE,
        frozenset(kinds),
        days * DAY_S,
        replaced=rule == "replaced_images_days",
        at_rest=True,
        leftovers=rule == "leftover_days",
    )


def require_retention(settings: Settings) -> Retention:
    """The policy.

    Raises:
        ConfigurationError: there is none.
    """
    if settings.retention is None:
        raise ConfigurationError(
            "no retention is set, and nothing goes by policy: write a table [retention] into tianyu.toml, as "
            "`calibrated_days = 30` (docs/how-to/free-space.md)"
        )
    return settings.retention


def carry_out(
    engine: Engine,
    settings: Settings,
    *,
    dry_run: bool = False,
    with_images: bool = True,
    pause: Callable[[], None] = lambda: None,
) -> Outcome:
    """Remove what the policy lets go; images at the site of the settings, rows and attempts of all.

    with_images: without, the disk is not looked at. pause: called between observations and batches of rows.

    Raises:
        ConfigurationError: there is no policy; or the root is not the one that is registered for the site.
    """
    policy = require_retention(settings)
    reading = database.reading_factory(engine)
    with reading() as session:
        began = pruning.now(session)
        site_id = site_at_root(session, settings) if with_images else None
    outcome = Outcome()
    for rule, days in policy.of_images.items():
        if days is not None and with_images:
            found = collect(
                engine, settings, policy_of_rule(rule, days), dry_run=dry_run, after_each=pause
            )  # fmt: skip
            outcome.gone += [
                Gone(rule, one.observation_id, one.kind, one.files, one.size_bytes) for one in found.removed
            ]
            outcome.failures += found.failures
            outcome.notes += [line for line in found.notes if line not in outcome.notes]
    if policy.replaced_rows_days is not None:
        outcome.gone += _rows(engine, settings.keep_graphs, policy.replaced_rows_days, dry_run, pause)
    if policy.attempts_days is not None:
        outcome.gone += _attempts(engine, policy.attempts_days, dry_run, pause)
    if not dry_run:
        _record(engine, outcome, site_id=site_id, started_at=began)
    return outcome


def _rows(engine: Engine, keep: int, days: float, dry_run: bool, pause: Callable[[], None]) -> list[Gone]:
    deleted = 0

    def count(number: int) -> None:
        nonlocal deleted
        deleted += number
        pause()

    pruned = prune(engine, RowsPolicy(keep, days), dry_run=dry_run, on_rows=count)
    if dry_run:
        return [Gone(ROWS, one.observation_id, one.what, rows=one.rows) for one in pruned]
    return [Gone(ROWS, None, "measurements", rows=deleted)] if deleted else []


def _attempts(engine: Engine, days: float, dry_run: bool, pause: Callable[[], None]) -> list[Gone]:
    reading, sessions = database.reading_factory(engine), database.session_factory(engine)
    if dry_run:
        with reading() as session:
            number = old_attempts.count(session, days)
        return [Gone(ATTEMPTS, None, "attempts", rows=number)] if number else []
    number, behind = 0, 0
    while True:
        with reading() as session:
            pids = old_attempts.next_pids(session, days, behind)
        if not pids:
            return [Gone(ATTEMPTS, None, "attempts", rows=number)] if number else []
        number += database.transact(sessions, partial(old_attempts.remove, days=days, pids=pids))
        behind = pids[-1]
        pause()


def _record(engine: Engine, outcome: Outcome, **values: object) -> None:
    sums = {
        "files": sum(one.files for one in outcome.gone),
        "size_bytes": sum(one.size_bytes for one in outcome.gone),
        "deleted_rows": sum(one.rows for one in outcome.gone if one.rule == ROWS),
        "deleted_attempts": sum(one.rows for one in outcome.gone if one.rule == ATTEMPTS),
        "failures": "\n".join(outcome.failures)[:REASON_MOST] or None,
    }
    sessions = database.session_factory(engine)
    database.transact(sessions, lambda session: old_attempts.record(session, host=HOST, **sums, **values))
