"""The tables of schema `tianyu`: the views that are a contract, and what is joined of tables behind them."""

from typing import Any

from sqlalchemy import FromClause, String, and_, cast, column, literal, select, table, type_coerce

from schema.base import table_of
from schema.observing import LIGHT, Filter, Instrument, Observation, ObsSite, Target
from schema.photometry import LightCurveStatistics, Variability
from schema.processes import Process, PublishedChoices, Site
from schema.skies import Sky
from services.results import view_columns
from services.results.view_columns import Column
from services.vo.fields import Field, Kind
from services.vo.identifiers import STAR, start_of
from services.vo.published.path_free import path_free
from services.vo.published.published_table import PublishedTable, RowsOf, of_view

SCHEMA = "tianyu"
DESCRIPTION = "Light curves, the stars that have them, and the frames that they were measured on"


def _fields(columns: tuple[Column, ...]) -> tuple[Field, ...]:
    return tuple(Field.of(one) for one in columns)


def _observations() -> FromClause:
    observation, target, band = table_of(Observation).alias("o"), table_of(Target), table_of(Filter)
    instrument, place, site, sky = table_of(Instrument), table_of(ObsSite), table_of(Site), table_of(Sky)
    process, choices = table_of(Process), table_of(PublishedChoices)
    o = observation.c
    return (
        select(
            o.observation_id,
            target.c.name.label("target"),
            band.c.name.label("filter"),
            instrument.c.name.label("instrument"),
            instrument.c.telescope,
            place.c.name.label("observatory"),
            site.c.name.label("site"),
            o.night,
            o.exposure_s,
            o.sky_id,
            sky.c.ra_deg.label("ra"),
            sky.c.dec_deg.label("dec"),
            sky.c.radius_deg,
            o.graph_pid.label("publication"),
            choices.c.version.label("tianyu_version"),
        )
        .select_from(observation)
        .join(target, and_(target.c.target_id == o.target_id, target.c.kind == LIGHT))
        .join(band, band.c.filter_id == o.filter_id)
        .join(instrument, instrument.c.instrument_id == o.instrument_id)
        .join(site, site.c.site_id == o.site_id)
        .outerjoin(place, place.c.obs_site_id == o.obs_site_id)
        .outerjoin(sky, sky.c.sky_id == o.sky_id)
        .outerjoin(process, process.c.pid == o.calibration_pid)
        .outerjoin(choices, choices.c.choices_id == process.c.choices_id)
        .subquery()
    )


def _analysed(model: Any, columns: tuple[Column, ...]) -> RowsOf:
    """Rows of the analysis that is shown of each observation."""

    def rows() -> FromClause:
        own, observation = table_of(model).alias("a"), table_of(Observation)
        shown = own.join(observation, observation.c.analysis_pid == own.c.pid)
        return select(*(own.c[one.name] for one in columns)).select_from(shown).subquery()

    return rows


def _of_view(name: str, columns: tuple[Column, ...], description: str, **more: Any) -> PublishedTable:
    fields, rows = of_view(name, columns)
    return PublishedTable(SCHEMA, name, description, fields, rows, **more)


def _frames() -> tuple[tuple[Field, ...], RowsOf]:
    """Frames without their paths, which reasons name too."""
    fields, _ = of_view("frame", view_columns.FRAME, without=("path",))
    clause, site = table("frame", *(column(one.name) for one in view_columns.FRAME)), table_of(Site)
    published = [
        path_free(clause.c.reason, site.c.root, clause.c.path).label("reason")
        if one.name == "reason"
        else clause.c[one.name]
        for one in fields
    ]
    typed = [
        type_coerce(one, field.kind.sql_type).label(field.name) for one, field in zip(published, fields, strict=True)
    ]
    made = select(*typed).select_from(clause.join(site, site.c.name == clause.c.site))
    return fields, lambda: made.subquery()


def _stars() -> tuple[tuple[Field, ...], RowsOf]:
    """Stars, and how DataLink calls them: some programs cannot ask it by numbers."""
    fields, rows = of_view("source_catalog", view_columns.SOURCE_CATALOG)
    did = Field("source_did", Kind.CHAR, "name of the star, for DataLink", ucd="meta.ref.ivoid", is_star=True)
    clause = rows()
    name = literal(start_of(STAR)).concat(cast(clause.c.source_id, String(64))).label(did.name)
    return (*fields, did), lambda: select(*clause.c, name).subquery()


SOURCES = PublishedTable(
    *(SCHEMA, "source_catalog", "Stars, with their places and the Gaia sources that they are"),
    *_stars(),
    position=("ra", "dec"),
    healpix="healpix",
)
LIGHT_CURVES = _of_view(
    *("light_curve", view_columns.LIGHT_CURVE),
    "Points of light curves: each source, image and aperture; usable = 1 and aperture_best = 1 for the best of them",
)
SCIENCE_TABLES = (
    SOURCES,
    LIGHT_CURVES,
    PublishedTable(
        *(SCHEMA, "observation", "Nights of one target, filter, instrument and exposure time"),
        *(_fields(view_columns.OBSERVATION), _observations),
        position=("ra", "dec"),
    ),
    PublishedTable(SCHEMA, "frame", "Frames of the camera, and what was found of each", *_frames()),
    _of_view(
        *("forced_light_curve", view_columns.FORCED_LIGHT_CURVE),
        "Fluxes and upper limits at places that were asked for, whatever is there: no detections",
    ),
    _of_view("source_place", view_columns.SOURCE_PLACE, "Where each source lies on an observation's frames"),
    PublishedTable(
        *(SCHEMA, "variability", "Stars by how variable they are, night by night; candidate = 1 for candidates"),
        *(_fields(view_columns.VARIABILITY), _analysed(Variability, view_columns.VARIABILITY)),
    ),
    PublishedTable(
        *(SCHEMA, "light_curve_statistics", "Scatter and errors of light curves"),
        *(_fields(view_columns.STATISTICS), _analysed(LightCurveStatistics, view_columns.STATISTICS)),
    ),
)
