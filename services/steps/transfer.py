"""`transfer`: the copy of another site's image at this one: fetched, unpacked, and the same to the last bit."""

import math
import time
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from schema.image import COPY, PACKED, Image, ImageParent
from schema.processes import Process, ProcessDependence, Site
from schema.queries import images
from schema.travels import Package
from services.checksums import sha256_of
from services.errors import ConfigurationError, DataError, TransientError
from services.fetching import Offer, fetch, held
from services.log import get_logger
from services.packed_files import BrokenPackageError, unpack
from services.steps.shared.step import Context, Outputs, Parameters, Step
from services.steps.shared.travelled_files import (
    arriving_path,
    put_in_place,
    require_made,
    temporary_beside,
    unwritable,
)

log = get_logger("transfer")
COMMAND = "transfer"
PATIENCE_S = 120.0  # with another attempt that brings nothing
SHARE_OF_LIMIT = 0.9  # of an attempt's time that may go by: what has come then is not lost, the next one goes on


class TransferParameters(Parameters):
    """PID of the `pack` whose file is fetched."""

    packed: int


@dataclass(frozen=True)
class _Travelling:
    """Rows of a packed image, of what is in it, and the name of the site that has them."""

    packed: Image
    package: Package
    origin: Image
    site: str
    is_named: bool  # a row says that it is here already


def run(context: Context, parameters: TransferParameters) -> Outputs:
    """Fetch what is not here, and give it the path that it has at the other site, under this one's root."""
    with context.reading() as session:
        wanted = _find(session, context, parameters.packed)
        session.expunge_all()  # they outlive this session
    came = _bring(context, wanted)
    log.info(
        "transferred",
        file=wanted.origin.path,
        site=wanted.site,
        bytes=wanted.package.content_bytes,
        came_bytes=came,
        saved_bytes=wanted.package.content_bytes - (wanted.packed.size_bytes or 0),
    )

    def write(session: Session) -> None:
        images.add_copy(
            session,
            wanted.packed,
            wanted.origin,
            site_id=images.site_id_of(session, context.deployment.site),
            pid=context.pid,
            graph_pid=context.graph_pid,
            size_bytes=wanted.package.content_bytes,
        )

    return write


def _find(session: Session, context: Context, pid: int) -> _Travelling:
    packed = images.by_pid(session, pid)
    package = None if packed is None else session.get(Package, packed.image_id)
    if packed is None or package is None:
        raise DataError(f"process {context.pid}: what was packed is gone; publish the observation again")
    if packed.deleted_at is not None:
        raise ConfigurationError(
            f"packed image {packed.path!r} was deleted by `tianyu gc` at {packed.deleted_at:%Y-%m-%d %H:%M:%S} UTC; "
            f"`tianyu rerun --from {_first_behind(session, context.pid)} {context.observation_id}` packs and sends it "
            "again"
        )
    lineage = select(ImageParent.parent_id).where(ImageParent.image_id == packed.image_id)
    origin = session.scalars(select(Image).where(Image.image_id.in_(lineage))).one()
    site = session.get_one(Site, packed.site_id).name
    own_id = images.site_id_of(session, context.deployment.site)
    return _Travelling(
        packed, package, origin, site, bool(images.copies(session, [origin.path], origin.observation_id, own_id))
    )


def _first_behind(session: Session, pid: int) -> str:
    """The command that waits for a transfer."""
    query = select(Process.command).join(ProcessDependence, ProcessDependence.child_pid == Process.pid)
    return session.scalars(query.where(ProcessDependence.parent_pid == pid).order_by(Process.pid).limit(1)).one()


def _bring(context: Context, wanted: _Travelling) -> int:
    """Have the file in its place; returns the bytes that came for it."""
    root = context.deployment.root
    target = root / require_made(wanted.origin.path)
    part = root / arriving_path(context.observation_id, context.pid)
    if (root / require_made(wanted.packed.path)).exists():
        raise ConfigurationError(
            f"sites {wanted.site!r} and {context.deployment.site!r} have the same files under {str(root)!r}: machines "
            "that share a file system are one site; give them one name (TIANYU_SITE), or roots of their own"
        )
    until = time.monotonic() + SHARE_OF_LIMIT * (context.deployment.time_limit_of(COMMAND) or math.inf)
    with temporary_beside(root, target) as temporary:
        try:
            part.parent.mkdir(parents=True, exist_ok=True)
            with held(part, PATIENCE_S):
                came = 0
                if not _is_here(target, wanted):
                    came = fetch(_offer(context, wanted), part, until)
                    _unpack(wanted, part, temporary, target)
                part.unlink(missing_ok=True)
        except OSError as error:
            raise unwritable(error, target) from error
    return came


def _offer(context: Context, wanted: _Travelling) -> Offer:
    site = context.deployment.sites.get(wanted.site)
    if site is None:
        raise ConfigurationError(
            f"process {context.pid} fetches an image of site {wanted.site!r}, and the settings of this consumer do not "
            f"say where that offers its files: set url in [sites.{wanted.site}]"
        )
    size = wanted.packed.size_bytes or 0
    return Offer(wanted.site, site, wanted.packed.path, size, wanted.package.sha256)


def _is_here(target: Path, wanted: _Travelling) -> bool:
    """Whether the file is here: it came before, for another graph or an attempt that did not live to say so."""
    if not target.is_file() or target.stat().st_size != wanted.package.content_bytes:
        return False
    # What the row names may have got cards in its header since.
    return wanted.is_named or sha256_of(target) == wanted.package.content_sha256


def _unpack(wanted: _Travelling, part: Path, temporary: Path, target: Path) -> None:
    try:
        found = unpack(part, temporary, wanted.package.content_bytes)
    except BrokenPackageError as error:
        part.unlink(missing_ok=True)
        raise TransientError(
            f"file {wanted.packed.path!r} of site {wanted.site!r} cannot be unpacked: {error}"
        ) from error
    if found != wanted.package.content_sha256:
        part.unlink(missing_ok=True)
        raise TransientError(
            f"file {wanted.packed.path!r} of site {wanted.site!r} unpacks to the SHA-256 {found}, and was packed of "
            f"{wanted.package.content_sha256}: nothing of it is kept"
        )
    put_in_place(temporary, target)


TRANSFER = Step(
    COMMAND,
    TransferParameters,
    run,
    gives="the copy of another site's image, the same to the last bit",
    kind=None,
    opens=(PACKED,),
    copies=(COPY,),
)
