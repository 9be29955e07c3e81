"""What processes were published by: the operator's choices and Tianyu's version, one row for each distinct content."""

import hashlib
from collections.abc import Collection
from typing import NamedTuple

from sqlalchemy import exists, func, insert, select
from sqlalchemy.orm import Session

from schema.processes import Process, PublishedChoices


class Stored(NamedTuple):
    """One row."""

    version: str
    choices: str  # JSON


def keep(session: Session, version: str, choices: str) -> int:
    """Id of the row with this content, which is made where there is none; publishers may come at the same moment."""
    digest = hashlib.sha256(f"{version}\0{choices}".encode()).hexdigest()
    there = select(PublishedChoices.choices_id).where(PublishedChoices.digest == digest)
    found = session.scalar(there)
    if found is None:
        new = insert(PublishedChoices).values(digest=digest, version=version, choices=choices)
        new = new.prefix_with("IGNORE", dialect="mysql").prefix_with("IGNORE", dialect="mariadb")
        session.execute(new.prefix_with("OR IGNORE", dialect="sqlite"))
        found = session.execute(there).scalar_one()
    return found


def ever_had(session: Session, part: str) -> bool:
    """Whether any choices that were stored have this in their JSON."""
    return session.scalar(select(exists().where(PublishedChoices.choices.contains(part, autoescape=True)))) or False


def by_id(session: Session, choices_id: int) -> Stored:
    """The row with this id."""
    row = session.get_one(PublishedChoices, choices_id)
    return Stored(row.version, row.choices)


def of_graph(session: Session, graph_pid: int, command: str | None = None) -> Stored | None:
    """What a graph was published by, or its newest process of one command; None where that was not stored.

    What the graph took over from another does not count: it has the choices of that one.
    """
    query = (
        select(PublishedChoices.version, PublishedChoices.choices)
        .select_from(Process)
        .outerjoin(PublishedChoices, PublishedChoices.choices_id == Process.choices_id)
        .where(Process.graph_pid == graph_pid)
        .limit(1)
    )
    if command is None:
        query = query.where(Process.origin_pid.is_(None)).order_by(Process.pid)
    else:
        query = query.where(Process.command == command).order_by(Process.pid.desc())
    row = session.execute(query).one_or_none()
    return None if row is None or row.choices is None else Stored(row.version, row.choices)


def of_graphs(session: Session, graph_pids: Collection[int]) -> list[tuple[int, Stored]]:
    """All that graphs were published by: (graph, row), in order of the first process of each."""
    used = (
        select(Process.graph_pid, Process.choices_id, func.min(Process.pid).label("first"))
        .where(Process.graph_pid.in_(graph_pids))
        .group_by(Process.graph_pid, Process.choices_id)
        .subquery()
    )
    rows = session.execute(
        select(used.c.graph_pid, PublishedChoices.version, PublishedChoices.choices)
        .join(used, used.c.choices_id == PublishedChoices.choices_id)
        .order_by(used.c.first)
    )
    return [(graph_pid, Stored(version, choices)) for graph_pid, version, choices in rows]


def of_process(session: Session, pid: int) -> Stored | None:
    """What a process was published by; None where that was not stored."""
    row = session.execute(
        select(PublishedChoices.version, PublishedChoices.choices)
        .join(Process, Process.choices_id == PublishedChoices.choices_id)
        .where(Process.pid == pid)
    ).one_or_none()
    return None if row is None else Stored(*row)
