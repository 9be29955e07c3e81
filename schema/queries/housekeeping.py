"""Which derived images nobody needs any more, and the mark that their files are gone.

A process that waits, is queued, runs, failed, was cancelled or was skipped may still run (`tianyu retry` sends the
latter three back); only a succeeded one never does again. An image is needed as long as a process that may run depends
on its maker, and the reference image as long as a process that depends on the choice of the reference may run: `align`
opens its star list. All other steps open files of their direct dependencies alone. As long as a graph is not replaced,
frames may come that are aligned: its reference stays.

A rerun takes images over: several rows then name one file, which goes only when no row needs it.

A copy of another site's image is judged as an image of the kind that it is a copy of, which its path tells.
"""

from collections import defaultdict
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, exists, func, or_, select, update
from sqlalchemy.orm import Session, aliased

from schema.base import utc_now
from schema.found import ReferenceFrame
from schema.image import COPY, Image
from schema.observing import Observation
from schema.processes import FINISHED, SUCCEEDED, UNFINISHED, Process, ProcessDependence, Site
from schema.queries import image_hold
from schema.queries.images import path_digests
from schema.queries.operating import lock
from schema.queries.scheduling import CHUNK, chunks


@dataclass(frozen=True)
class Kinds:
    """Kinds of images that processes make."""

    derived: tuple[str, ...]  # all
    results: tuple[str, ...]  # what a graph's images are made for
    masters: tuple[str, ...]  # results from which other observations are made


@dataclass(frozen=True)
class Policy:
    """What may go when nobody needs it: of graphs that count which kinds of images, and how old it must be.

    ``replaced``: also whatever graphs that were replaced have made. ``at_rest``: of ``kinds`` only while nothing of the
    observation is at work. ``leftovers``: also files without a row, and of killed attempts.
    """

    made: Kinds
    kinds: frozenset[str] = frozenset()
    older_than_s: float = 0.0
    replaced: bool = True
    at_rest: bool = False
    leftovers: bool = True


@dataclass(frozen=True)
class Deletable:
    """A file that may go, with all its rows."""

    kind: str
    path: str
    image_ids: tuple[int, ...]


@dataclass(frozen=True)
class _Judged:
    image_id: int
    kind: str
    path: str
    may_go: bool


def observations_with_images(session: Session, site_id: int) -> list[int]:
    """Observations of which processes made images at this site."""
    query = select(Image.observation_id).where(
        Image.site_id == site_id, Image.pid.is_not(None), Image.observation_id.is_not(None)
    )
    return sorted(observation_id for observation_id in session.scalars(query.distinct()) if observation_id is not None)


def deletable(
    session: Session, observation_id: int, site_id: int, policy: Policy, there: Container[str]
) -> list[Deletable]:
    """Files among ``there`` that the policy lets go and that no row needs, in order of path."""
    rows: dict[str, list[_Judged]] = defaultdict(list)
    for judged in _judge(session, observation_id, site_id, policy):
        rows[judged.path].append(judged)
    return [
        Deletable(of_path[0].kind, path, tuple(row.image_id for row in of_path))
        for path, of_path in sorted(rows.items())
        if path in there and all(row.may_go for row in of_path)
    ]


def mark_deleted(
    session: Session, observation_id: int, site_id: int, policy: Policy, there: Container[str]
) -> list[Deletable]:
    """Decide under lock and mark the rows; the caller commits, and then removes the files.

    Publishing and rerunning lock the observation, and a dependency that is inserted locks its parent's row: what they
    want to use is either seen here, or they see the mark. The observation is shared with everybody else, for each
    change of a process's status looks at it; and makers whose end is not counted yet are left to the manager.
    While a backup copies images none is marked.
    """
    if image_hold.holder(session, lock=True) is not None:
        return []
    session.execute(select(Observation.observation_id).where(_is(observation_id)).with_for_update(read=True)).all()
    replacing = _replacing_graph(session, observation_id, policy.made)
    of_policy = or_(Image.kind.in_((*policy.kinds, COPY)), Image.graph_pid < (replacing or 0))
    makers = session.scalars(
        select(Image.pid)
        .join(Process, Process.pid == Image.pid)
        .where(*_live(observation_id, site_id, policy.made), of_policy, _done())
    )
    lock(session, [pid for pid in makers if pid is not None])
    found = deletable(session, observation_id, site_id, policy, there)
    now = session.execute(select(utc_now())).scalar_one()  # one reading: rows of one file carry one time
    for part in chunks(sorted(image_id for file in found for image_id in file.image_ids)):
        session.execute(update(Image).where(Image.image_id.in_(part)).values(deleted_at=now))
    return found


def _is(observation_id: int) -> ColumnElement[bool]:
    return Observation.observation_id == observation_id


def _done() -> ColumnElement[bool]:
    """Whether a process has succeeded for good, and its children know."""
    return and_(Process.status == SUCCEEDED, Process.propagated.is_(True))


def _live(observation_id: int, site_id: int, made: Kinds) -> tuple[ColumnElement[bool], ...]:
    return (
        Image.observation_id == observation_id,
        Image.kind.in_((*made.derived, COPY)),
        Image.site_id == site_id,
        Image.deleted_at.is_(None),
    )


def _judge(session: Session, observation_id: int, site_id: int, policy: Policy) -> list[_Judged]:
    """Each row whose file is there, and whether it may go."""
    query = (
        select(
            Image.image_id,
            Image.kind,
            Image.path,
            Image.graph_pid,
            or_(_awaited(ProcessDependence.parent_pid == Image.pid), _awaited(_chose())).label("awaited"),
            _serves_others(policy.made).label("serves_others"),
            exists().where(ReferenceFrame.image_id == Image.image_id).label("is_reference"),
        )
        .outerjoin(Process, Process.pid == Image.pid)
        .add_columns(_done().label("made"))
        .add_columns((Process.finished_at <= utc_now(-policy.older_than_s)).label("old"))
        .where(*_live(observation_id, site_id, policy.made))
    )
    current = _replacing_graph(session, observation_id, policy.made)
    # One that was replaced may be at work once more: frames that came later are measured on its template.
    at_work = select(Process.graph_pid).where(Process.observation_id == observation_id, Process.status.in_(UNFINISHED))
    working = set(session.scalars(at_work.distinct()))
    judged = []
    for row in session.execute(query):
        is_older = current is not None and row.graph_pid is not None and row.graph_pid < current
        replaced = is_older and row.graph_pid not in working
        kind = row.path.partition("/")[0] if row.kind == COPY else row.kind
        free = kind in policy.kinds and not row.is_reference and not (policy.at_rest and working)
        if replaced and policy.replaced:
            free = not row.serves_others
        # A maker without a row, or without an end, is unknown: neither True.
        may_go = bool(row.made and row.old and free and not row.awaited)
        judged.append(_Judged(row.image_id, kind, row.path, may_go))
    return judged


def _chose() -> ColumnElement[bool]:
    """Whether a parent chose the image as the one that others are aligned to."""
    return and_(ReferenceFrame.pid == ProcessDependence.parent_pid, ReferenceFrame.image_id == Image.image_id)


def _awaited(of_parent: ColumnElement[bool]) -> ColumnElement[bool]:
    """Whether a process may still run that depends on such a parent."""
    child = aliased(Process)
    return exists().where(
        of_parent,
        child.pid == ProcessDependence.child_pid,
        child.status != SUCCEEDED,
    )


def _serves_others(made: Kinds) -> ColumnElement[bool]:
    """Whether the image is a master from which a graph that counts was made: its rerun would ask for it."""
    child, observation = aliased(Process), aliased(Observation)
    return and_(
        Image.kind.in_(made.masters),
        exists().where(
            ProcessDependence.parent_pid == Image.pid,
            child.pid == ProcessDependence.child_pid,
            child.graph_pid != Image.graph_pid,
            observation.observation_id == child.observation_id,
            child.graph_pid >= func.coalesce(observation.graph_pid, 0),
        ),
    )


def _replacing_graph(session: Session, observation_id: int, made: Kinds) -> int | None:
    """The observation's graph, once it has made its own result: all older ones are replaced by then."""
    result = exists().where(
        Image.graph_pid == Observation.graph_pid, Image.kind.in_(made.results), Image.deleted_at.is_(None)
    )
    return session.scalar(select(Observation.graph_pid).where(_is(observation_id), result))


def marked_paths(session: Session, observation_id: int | None, site_id: int, kind: str) -> dict[str, bool]:
    """Paths of one kind's images at a site, copies too, and whether all rows that name them are marked as deleted."""
    same = Image.observation_id.is_(None) if observation_id is None else Image.observation_id == observation_id
    query = select(Image.path, Image.deleted_at).where(same, Image.site_id == site_id, Image.kind.in_((kind, COPY)))
    marked: dict[str, bool] = {}
    for path, deleted_at in session.execute(query):
        marked[path] = marked.get(path, True) and deleted_at is not None
    return marked


def orphans(session: Session, pid_of: Mapping[str, int], *, temporary: bool) -> list[str]:
    """Paths among ``pid_of`` that nobody will ever use, while their processes are locked and cannot start again.

    Their process is finished, or unknown though it would be older than the newest one: a process from beyond that is
    another database's. Temporary files never have rows; others must not be named by any.
    """
    newest = session.scalar(select(func.max(Process.pid))) or 0
    status = lock(session, pid_of.values())
    over = [path for path, pid in pid_of.items() if (status[pid] in FINISHED if pid in status else pid <= newest)]
    named = set() if temporary else _registered(session, over)
    return [path for path in over if path not in named]


def _registered(session: Session, paths: Sequence[str]) -> set[str]:
    """Those of the paths that a row of any site names, whatever its observation and kind.

    Rows that took a file over have digests of their own; the row that they took it from is never removed.
    """
    sites = session.scalars(select(Site.site_id)).all()
    path_of = {digest: path for site_id in sites for path in paths for digest in path_digests(site_id, path)}
    found: set[str] = set()
    for start in range(0, len(path_of), CHUNK):
        part = list(path_of)[start : start + CHUNK]
        found |= {
            path_of[digest] for digest in session.scalars(select(Image.path_digest).where(Image.path_digest.in_(part)))
        }
    return found
