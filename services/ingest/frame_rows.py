"""Columns of table image of a frame, as its header tells."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.sky.as_seen import COLUMNS as AS_SEEN
from pipeline.sky.as_seen import as_seen, unpointed
from schema.queries.measurements import none_for_nan
from services.frame_geometry import geometry_text
from services.ingest.common_facts import header_digest, mean_direction, pointings
from services.ingest.headers import FrameFacts

Seen = dict[str, float | None]


def as_seen_of(frames: Sequence[FrameFacts]) -> list[Seen]:
    """What `pipeline.sky.as_seen` says of mid-exposure, for frames of the sky with a time.

    The field's centre is the mean pointing. A header's own airmass is never read: telescopes write one that stands
    still, or that of another field.
    """
    result: list[Seen] = [{} for _ in frames]
    timed = [i for i, f in enumerate(frames) if f.kind == "light" and f.jd_utc is not None]
    if not timed:
        return result
    jd = np.array([frames[i].jd_utc for i in timed], dtype=np.float64)
    site = next((f for f in frames if f.site_longitude is not None and f.site_latitude is not None), None)
    location = None
    if site is not None:
        location = (site.site_longitude or 0.0, site.site_latitude or 0.0, site.site_elevation or 0.0)
    directions = pointings(frames)
    columns = as_seen(jd, *mean_direction(directions), location) if directions else unpointed(jd, location)
    listed = {name: none_for_nan(values) for name, values in columns.items()}
    for place, index in enumerate(timed):
        result[index] = {name: values[place] for name, values in listed.items()}
    return result


def columns_of(frame: FrameFacts, seen: Seen) -> dict[str, Any]:
    """All but the frame's path and observation, and whether it can be used."""
    return {
        "kind": frame.kind,
        "ny": frame.shape[0],
        "nx": frame.shape[1],
        "size_bytes": frame.size,
        "header_digest": header_digest(frame),
        **_geometry(frame),
        "temperature_c": frame.temperature,
        "exposure_s": frame.exposure,
        "start_jd_utc": frame.start_utc,
        "jd_utc": frame.jd_utc,
        **{name: seen.get(name) for name in AS_SEEN},
        "gain": frame.gain,
        "gain_source": frame.gain_source,
        "read_noise": frame.read_noise,
        "read_noise_source": frame.read_noise_source,
        "saturation": frame.saturation,
        "linearity": frame.linearity,
    }


def _geometry(frame: FrameFacts) -> dict[str, Any]:
    """Columns of a frame that is not all of the first image of its file, NULL of one that is."""
    readout = None if frame.read is None else frame.read.readout
    x, y = (None, None) if readout is None or readout.origin is None else readout.origin
    step = None if x is None or readout is None else readout.step
    return {"geometry": geometry_text(readout), "file_x": x, "file_y": y, "file_step": step}
