"""What contradicts itself in an observation, a line for all frames that it holds for: told by ingest, or by results."""

from collections.abc import Mapping

from sqlalchemy import func, select
from sqlalchemy.orm import Session, aliased

from pipeline.detector.flat_levels import FLAT_LIMITS_ADU
from schema.image import CALIBRATED, MASTER_DARK, MASTER_FLAT, Image, ImageParent
from schema.observing import LIGHT
from schema.queries.frames import notes_by_observation
from services.chosen import chosen_by
from services.place_notes import place_notes

SKY_BELOW_ZERO = 1.0  # sky noises: a sky so far below zero is no noise of its mean, and no sky
SAME_EXPOSURE = 0.01  # relative, of a dark that is not scaled
MOST_BAD_PIXELS = 0.3  # of a frame; no detector that is used has as many


def frame_notes(session: Session, graphs: Mapping[int, int | None]) -> dict[int, list[str]]:
    """Notes by observation; ``graphs`` are the graphs by observation whose images are looked at.

    A few queries, however many observations there are.
    """
    noted = notes_by_observation(session, next(iter(graphs)) if len(graphs) == 1 else None)
    found = {one: [f"{count} frame{'s' * (count > 1)}: {note}" for note, count in noted.get(one, ())] for one in graphs}
    of_graph = {graph: one for one, graph in graphs.items() if graph is not None}
    graphs_there = list(of_graph)
    for graph, note in (
        *_moved(session, graphs_there),
        *_unscaled(session, graphs_there),
        *_impossible(session, graphs_there),
        *_of_unknown_range(session, graphs_there),
    ):
        found[of_graph[graph]].append(note)
    for observation, notes in place_notes(session, of_graph.values()).items():
        found[observation] += notes
    return found


def _moved(session: Session, graphs: list[int]) -> list[tuple[int, str]]:
    """Of which graphs frames are another observation's by now, under other names or corrected headers."""
    frame = aliased(Image)
    moved = (
        select(Image.graph_pid, frame.observation_id, func.count())
        .join(ImageParent, ImageParent.image_id == Image.image_id)
        .join(frame, frame.image_id == ImageParent.parent_id)
        .where(Image.graph_pid.in_(graphs), Image.kind == CALIBRATED)
        .where(frame.kind == LIGHT, frame.observation_id != Image.observation_id)
        .group_by(Image.graph_pid, frame.observation_id)
        .order_by(Image.graph_pid, frame.observation_id)
    )
    return [
        (graph or 0, f"{count} frames of these light curves are of observation {number} by now: use those that it has")
        for graph, number, count in session.execute(moved)
    ]


def _unscaled(session: Session, graphs: list[int]) -> list[tuple[int, str]]:
    """Of which graphs frames were calibrated with a dark of another exposure time that holds the bias."""
    dark = aliased(Image)
    query = (
        select(Image.graph_pid, dark.exposure_s, Image.exposure_s, func.count())
        .join(ImageParent, ImageParent.image_id == Image.image_id)
        .join(dark, dark.image_id == ImageParent.parent_id)
        .where(Image.graph_pid.in_(graphs), Image.kind == CALIBRATED)
        # A level is known of those whose bias was taken off.
        .where(dark.kind == MASTER_DARK, dark.background.is_(None))
        .where(func.abs(dark.exposure_s - Image.exposure_s) > SAME_EXPOSURE * Image.exposure_s)
        .group_by(Image.graph_pid, dark.exposure_s, Image.exposure_s)
        .order_by(Image.graph_pid, Image.exposure_s)
    )
    return [
        (
            graph or 0,
            f"{count} frames of {exposure:g} s are calibrated with a dark of {seconds:g} s that is not scaled, for "
            "without bias frames it holds the bias",
        )
        for graph, seconds, exposure, count in session.execute(query)
    ]


def _of_unknown_range(session: Session, graphs: list[int]) -> list[tuple[int, str]]:
    """Of which graphs flats are bright enough only if their camera has few bits, which nobody tells."""
    flat = aliased(Image)
    query = (
        select(Image.graph_pid, func.min(flat.background))
        .join(ImageParent, ImageParent.image_id == Image.image_id)
        .join(flat, flat.image_id == ImageParent.parent_id)
        .where(Image.graph_pid.in_(graphs), Image.kind == CALIBRATED, Image.saturation.is_(None))
        .where(flat.kind == MASTER_FLAT, flat.background < FLAT_LIMITS_ADU[0])
        .group_by(Image.graph_pid)
        .order_by(Image.graph_pid)
    )
    found = [(graph or 0, level) for graph, level in session.execute(query)]
    chosen = chosen_by(session, [graph for graph, _ in found])
    return [
        (
            graph,
            f"the flats' level is {level:.0f} ADU: enough of a camera of 12 or 14 bits, faint of one of 16, and no "
            "header tells which it is; set saturation",
        )
        for graph, level in found
        if not any(name in one.choices for one in chosen.get(graph, ()) for name in ("saturation", "flat_limits_adu"))
    ]


def _impossible(session: Session, graphs: list[int]) -> list[tuple[int, str]]:
    """What cannot be of calibrated frames, by graph."""
    of_graphs = (Image.graph_pid.in_(graphs), Image.kind == CALIBRATED)
    below = select(Image.graph_pid, func.count(), func.avg(Image.background)).where(
        *of_graphs, Image.background < -SKY_BELOW_ZERO * Image.background_rms
    )
    bad = select(Image.graph_pid, func.count(), func.avg(100.0 * Image.hot_pixels / (Image.nx * Image.ny))).where(
        *of_graphs, Image.hot_pixels > MOST_BAD_PIXELS * Image.nx * Image.ny
    )
    return [
        (
            graph,
            f"{count} calibrated frames have a sky below zero ({sky:.0f} ADU in the mean): are they reduced already, "
            "and are bias, dark and flat frames of the same camera, gain and temperature?",
        )
        for graph, count, sky in session.execute(below.group_by(Image.graph_pid))
    ] + [
        (
            graph,
            f"{count} calibrated frames have {share:.0f} % bad pixels in the mean: is it a colour camera, or do bias, "
            "dark and flat frames not fit?",
        )
        for graph, count, share in session.execute(bad.group_by(Image.graph_pid))
    ]
