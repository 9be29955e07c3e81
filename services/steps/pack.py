"""`pack`: an image made ready for another site: compressed without loss, with checksums."""

from pathlib import Path

from sqlalchemy import insert
from sqlalchemy.orm import Session

from schema.base import table_of
from schema.image import CALIBRATED, PACKED, TEMPLATE, Image
from schema.queries import images
from schema.travels import Package, WcsClaim
from services import disk
from services.checksums import sha256_of
from services.errors import DataError, TianyuError, TransientError
from services.file_errors import unreadable
from services.log import get_logger
from services.packed_files import Digests, pack
from services.steps.shared.header_claim import Reference, claim_of, reference_frame
from services.steps.shared.image_files import path_of
from services.steps.shared.step import Context, Outputs, Parameters, Step
from services.steps.shared.travelled_files import packed_path, put_in_place, temporary_beside, unwritable

log = get_logger("pack")
TRIES = 3  # at a file whose header is written at the same time


class PackParameters(Parameters):
    """PID of the process whose image is packed."""

    made: int


def run(context: Context, parameters: PackParameters) -> Outputs:
    """Pack the file, and look whether what is packed is the file; of a template also tell the WCS of its pixels."""
    with context.reading() as session:
        image = images.by_pid(session, parameters.made)
        reference = None if image is None or image.kind != TEMPLATE else reference_frame(session, context)
        session.expunge_all()  # they outlive this session
    if image is None:
        raise DataError(f"process {context.pid}: its image is gone; publish the observation again")
    root = context.deployment.root
    path = packed_path(context.observation_id, context.pid)
    digests = _pack(root, path_of(image), path)
    saved = 1.0 - digests.size_bytes / max(digests.content_bytes, 1)
    log.info("packed", file=path, of=image.path, bytes=digests.size_bytes, saved_percent=round(100.0 * saved, 1))
    claims = [] if reference is None else [_claim(context, reference, image)]

    def write(session: Session) -> None:
        image_id = images.add_image(
            session,
            kind=PACKED,
            site_id=images.site_id_of(session, context.deployment.site),
            path=path,
            parents=(image.image_id,),
            observation_id=context.observation_id,
            pid=context.pid,
            graph_pid=context.graph_pid,
            size_bytes=digests.size_bytes,
        )
        package = {"sha256": digests.sha256, "content_sha256": digests.content_sha256}
        session.execute(
            insert(table_of(Package)), {"image_id": image_id, "content_bytes": digests.content_bytes, **package}
        )
        if claims:
            session.execute(insert(table_of(WcsClaim)), claims)

    return write


def _claim(context: Context, reference: Reference, template: Image) -> dict[str, object]:
    claim = claim_of(context, reference, (template.ny or 0, template.nx or 0))
    wcs = None if claim is None else claim.wcs.text()
    return {"image_id": reference.frame.image_id, "pid": context.pid, "wcs": wcs}


def _pack(root: Path, content: str, path: str) -> Digests:
    full, target = root / content, root / path
    with temporary_beside(root, target) as temporary:
        for _ in range(TRIES):
            try:
                digests = pack(full, temporary)
                is_of_now = sha256_of(full) == digests.content_sha256
            except OSError as error:
                raise _disk_error(error, root, full, target) from error
            if is_of_now:
                put_in_place(temporary, target)
                return digests
    raise TransientError(f"file {str(full)!r} was changed while it was packed, {TRIES} times")


def _disk_error(error: OSError, root: Path, read: Path, written: Path) -> TianyuError:
    """Whether one file could not be read, or the other not be written."""
    try:
        disk.read_through(read)
    except OSError as unread:
        return unreadable(unread, read, root, is_frame=False)
    return unwritable(error, written)


PACK = Step(
    "pack",
    PackParameters,
    run,
    gives="an image made ready for another site: compressed without loss, with checksums",
    kind=None,
    opens=(TEMPLATE, CALIBRATED),
    partial=(PACKED,),
    tables=(Package, WcsClaim),
)
