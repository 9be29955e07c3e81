"""Master files of the operator's own: each is registered once, as the one frame of an observation that is named."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from schema.image import Image
from schema.observing import LIGHT, Instrument, Observation, Target
from schema.queries import images
from services.errors import ConfigurationError, DataError
from services.image_store import LocalImageStore
from services.ingest.dialect import Kind
from services.ingest.dialect_files import Dialects
from services.ingest.headers import FrameFacts, read_frame
from services.ingest.raw_folder import Folder
from services.ingest.register import register
from services.own_site import stored_path

GIVEN = "given"  # in the setting of its observation, with a digest of what the file holds
DIGEST_BYTES = 8
PER_SECOND = ("/s", "/sec", "/second", "s-1")
ELECTRONS = ("e-", "electron", "e/")
ABOVE_NOTHING = 64.0  # ADU; a dark without bias is hardly brighter
BELOW_NOTHING = 0.01  # of the pixels; noise about zero leaves as many below it


def register_given(
    session: Session, path: Path, kind: Kind, *, site: str, root: Path, dialects: Dialects | None = None
) -> list[str]:
    """Register a master file of ``kind``; returns what is to be said of it, nothing where it was registered before.

    Raises:
        ConfigurationError: it cannot be read, is no such master, or has changed since it was registered.
    """
    where = f"given {kind} {str(path)!r}"
    digest = images.path_digest(images.site_id_of(session, site), stored_path(path, root))
    known = session.execute(
        select(Image.kind, Observation.setting, Observation.observation_id)
        .join(Observation, Observation.observation_id == Image.observation_id)
        .where(Image.path_digest == digest)
    ).one_or_none()
    try:
        setting = f"{GIVEN} {_digest(path)}"
        if known is not None:
            if (known.kind, known.setting) == (kind, setting):
                return []
            if known.setting.startswith(GIVEN) and known.kind == kind:
                raise ConfigurationError(f"{where} has changed since it was registered: give a copy under another name")
            raise ConfigurationError(
                f"{where} is registered as a {known.kind} frame of observation {known.observation_id}: give the "
                "observation instead of the file, or a copy of it elsewhere"
            )
        facts, said = _facts(path, kind, dialects)
    except (DataError, OSError) as error:
        raise ConfigurationError(f"{where} cannot be used: {error}") from error
    instrument, telescope = _only_camera(session) or (facts.instrument, facts.telescope)
    frame = replace(facts, setting=setting, notes=(), instrument=instrument, telescope=telescope)
    register(session, Folder([frame], []), site=site, root=root)
    return [f"{where}: {line}" for line in said]


def _facts(path: Path, kind: Kind, dialects: Dialects | None) -> tuple[FrameFacts, list[str]]:
    facts = read_frame(path, dialects=dialects, is_product=True)
    unit = _unit(facts)
    if kind != "flat" and unit.startswith(ELECTRONS):
        raise DataError(f"its unit is {unit!r}, expected ADU: divide it by the gain")
    facts = replace(facts, kind=kind, target=None, filter=facts.filter if kind == "flat" else None)
    pixels = LocalImageStore(path.parent).read(str(path.absolute()))
    finite = pixels[np.isfinite(pixels)]
    if not finite.size:
        raise DataError("no pixel of it is finite")
    median = float(np.median(finite))
    if kind == "bias":
        return replace(facts, reduced=""), []
    if kind == "flat":
        if not median > 0:
            raise DataError(f"its median is {median:.4g}, expected a flat above 0")
        return replace(facts, reduced="BD"), [f"divided by its mean, {float(finite.mean()):.6g}"]
    if unit.endswith(PER_SECOND):
        return replace(facts, exposure=1.0, reduced="B"), ["taken for ADU a second without bias, by its unit"]
    if not facts.exposure > 0:
        raise DataError("it tells no exposure time (EXPTIME), and no unit of ADU a second (BUNIT)")
    if "B" in facts.reduced:
        return replace(facts, reduced="B"), [f"of {facts.exposure:g} s without bias, by its header"]
    if median < ABOVE_NOTHING or np.mean(finite <= 0) > BELOW_NOTHING:
        return replace(facts, reduced="B"), [
            f"of {facts.exposure:g} s, taken to be without bias by its median {median:.4g}"
        ]
    said = f"of {facts.exposure:g} s, taken to hold the bias by its median {median:.4g} (else set CALSTAT = 'B')"
    return replace(facts, reduced=""), [said]


def _unit(facts: FrameFacts) -> str:
    cards = (line.partition("=") for line in facts.header.splitlines() if line.startswith("BUNIT "))
    values = [value.partition("/ ")[0].strip().strip("'").strip().lower() for _, _, value in cards]
    return values[0].replace(" ", "") if values else ""


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=DIGEST_BYTES)).hexdigest()


def _only_camera(session: Session) -> tuple[str, str] | None:
    """The one camera and telescope that there are light frames of; of several the file's own header has to tell."""
    query = (
        select(Instrument.name, Instrument.telescope)
        .distinct()
        .join(Observation, Observation.instrument_id == Instrument.instrument_id)
        .join(Target, Target.target_id == Observation.target_id)
        .where(Target.kind == LIGHT)
    )
    found = session.execute(query).all()
    return (found[0].name, found[0].telescope) if len(found) == 1 else None
