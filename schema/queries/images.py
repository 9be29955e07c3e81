"""Images by the process that made them, by graph, and by observation."""

import hashlib
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from sqlalchemy import bindparam, insert, select
from sqlalchemy.orm import Session

from schema.base import table_of
from schema.image import COPY, Image, ImageParent
from schema.prepared import Prepared, run
from schema.processes import Site

_SITE = Prepared(select(Site.site_id).where(Site.name == bindparam("site")))
PLANES = ("R", "G1", "G2", "B")  # of a colour camera's frame: G1 stands in the rows of red, G2 in those of blue


def path_digest(site_id: int, path: str, plane: str = "") -> str:
    """Digest that makes a frame unique at its site: a path, and one of its colours where they are taken apart.

    MySQL cannot index a text of any length.
    """
    named = f"{site_id}\0{path}\0plane {plane}" if plane else f"{site_id}\0{path}"
    return hashlib.blake2b(named.encode(), digest_size=16).hexdigest()


def path_digests(site_id: int, path: str) -> list[str]:
    """Digests of all rows that may name a file."""
    return [path_digest(site_id, path, plane) for plane in ("", *PLANES)]


def site_id_of(session: Session, site: str) -> int:
    """Id of a registered site.

    Raises:
        LookupError: the site is not registered.
    """
    [found] = run(session, _SITE(site=site))
    if not found.rows:
        raise LookupError(f"site {site!r} is not registered: run `tianyu init`")
    return int(found.rows[0][0])


_ADD, _ADD_PARENTS = insert(table_of(Image)), insert(table_of(ImageParent))


def add_image(
    session: Session, *, kind: str, site_id: int, path: str, parents: Iterable[int] = (), **values: Any
) -> int:
    """Insert an image with its lineage; returns its id."""
    named = {"kind": kind, "site_id": site_id, "path": path, "path_digest": path_digest(site_id, path)}
    connection = session.connection()
    key = connection.execute(_ADD, {**named, **values}).inserted_primary_key
    assert key is not None
    image_id = int(key[0])
    edges = [{"image_id": image_id, "parent_id": parent} for parent in parents]
    if edges:
        connection.execute(_ADD_PARENTS, edges)
    return image_id


_BY_PID = select(Image).where(Image.pid == bindparam("of_pid"))
_BY_PIDS = select(Image).where(Image.pid.in_(bindparam("of_pids", expanding=True))).order_by(Image.pid)


def by_id(session: Session, image_id: int) -> Image:
    """The image with this id."""
    return session.get_one(Image, image_id)


def by_pid(session: Session, pid: int | None) -> Image | None:
    """The image that a process made, or None when it made none (it failed, or there is no such process)."""
    return None if pid is None else session.scalar(_BY_PID, {"of_pid": pid})


def by_pids(session: Session, pids: Sequence[int]) -> list[Image]:
    """Images that these processes made, in order of PID."""
    return list(session.scalars(_BY_PIDS, {"of_pids": pids}))


def frames_of(session: Session, image_ids: Sequence[int]) -> dict[int, Image]:
    """The frame of the camera that each image was made from, by the image's id; of those made from one frame."""
    query = select(ImageParent.image_id, Image).join(Image, Image.image_id == ImageParent.parent_id)
    query = query.where(ImageParent.image_id.in_(image_ids), Image.pid.is_(None))
    return dict(session.execute(query).all())


def of_graph(session: Session, graph_pid: int, kind: str) -> list[Image]:
    """Images of one kind that a graph made, in order of PID (which is the order of time for frames)."""
    return list(
        session.scalars(select(Image).where(Image.graph_pid == graph_pid, Image.kind == kind).order_by(Image.pid))
    )


def add_copy(session: Session, packed: Image, origin: Image, *, site_id: int, pid: int, **values: Any) -> None:
    """Insert the row of a copy at another site, which was ``packed`` there."""
    copy = Image(
        kind=COPY,
        site_id=site_id,
        observation_id=origin.observation_id,
        path=origin.path,
        path_digest=f"copy of {pid}",  # there may be rows of earlier copies; nobody looks for one by its path alone
        pid=pid,
        nx=origin.nx,
        ny=origin.ny,
        **values,
    )
    session.add(copy)
    session.flush()
    session.execute(insert(ImageParent), {"image_id": copy.image_id, "parent_id": packed.image_id})


def copies(session: Session, paths: Collection[str], observation_id: int | None, site_id: int) -> dict[str, int]:
    """Of these images of an observation those that a site has a copy of: PIDs that brought the newest, by path."""
    query = select(Image.path, Image.pid).where(
        Image.observation_id == observation_id,
        Image.kind == COPY,
        Image.site_id == site_id,
        Image.deleted_at.is_(None),
        Image.pid.is_not(None),
    )
    return {path: pid for path, pid in session.execute(query.order_by(Image.pid)) if path in paths and pid is not None}
