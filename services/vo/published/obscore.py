"""`ivoa.obscore`: templates, calibrated images and light curves as data sets (ObsCore 1.1).

Of each observation the shown graph's. A light curve is one star's in one observation; its region is its star's place.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import FromClause, Select, String, and_, case, cast, func, literal, null, or_, select, union_all
from sqlalchemy.sql import ColumnElement

from schema.base import table_of
from schema.image import CALIBRATED, TEMPLATE, Image
from schema.observing import LIGHT, Filter, Instrument, Observation, ObsSite, Target
from schema.processes import Process, Site
from schema.skies import PlateSolution, Source, SourcePosition
from services.steps.detect import DETECT
from services.vo.fields import LINKS_TYPE, REGION, Field, Kind
from services.vo.identifiers import CURVE, IMAGE, start_of
from services.vo.published.published_table import PublishedTable

Sql = ColumnElement[Any]
SCHEMA = "ivoa"
DESCRIPTION = "Data sets as the Virtual Observatory describes them"
COLLECTION = "Tianyu"
MJD_ZERO = 2400000.5
SECONDS_A_DAY = 86400.0
# Effective wavelength and width at half of the peak, nm: Binney and Merrifield 1998, table 2.1 (Johnson-Cousins), and
# Fukugita et al. 1996, AJ 111, 1748, table 2a (SDSS). Names of filters are case-sensitive.
_JOHNSON = {"U": (365, 66), "B": (445, 94), "V": (551, 88), "R": (658, 138), "I": (806, 149)}
_SLOAN = {"u": (355.7, 59.9), "g": (482.5, 137.9), "r": (626.1, 138.2), "i": (767.2, 153.5), "z": (909.7, 137.0)}
_COUSINS = {f"{name}{more}": _JOHNSON[name] for name in "RI" for more in ("c", "C")}
_PRIMED = {f"{name}{more}": band for name, band in _SLOAN.items() for more in ("p", "'")}
BANDS: Mapping[str, tuple[float, float]] = _JOHNSON | _COUSINS | _SLOAN | _PRIMED


def _field(name: str, kind: Kind, words: str, utype: str, ucd: str, unit: str = "", **more: Any) -> Field:
    is_principal = more.pop("is_principal", True)
    return Field(name, kind, words, unit, ucd, f"obscore:{utype}", is_principal=is_principal, is_standard=True, **more)


_SPACE, _TIME, _LIGHT = "Char.SpatialAxis", "Char.TimeAxis", "Char.SpectralAxis"
FIELDS = (
    _field("dataproduct_type", Kind.CHAR, "image or timeseries", "ObsDataset.dataProductType", "meta.code.class"),
    _field(
        *("calib_level", Kind.INT, "2: calibrated, 3: stacked, and light curves"),
        *("ObsDataset.calibLevel", "meta.code;obs.calib"),
    ),
    _field("obs_collection", Kind.CHAR, "whose it is", "DataID.collection", "meta.id"),
    _field("obs_id", Kind.CHAR, "observation: a night of one field", "DataID.observationID", "meta.id"),
    _field("obs_title", Kind.TEXT, "what it is", "DataID.title", "meta.title;obs"),
    _field("obs_publisher_did", Kind.CHAR, "its name, for DataLink", "Curation.publisherDID", "meta.ref.ivoid"),
    _field("access_url", Kind.CHAR, "where its links are", "Access.reference", "meta.ref.url"),
    _field("access_format", Kind.CHAR, "media type of that", "Access.format", "meta.code.mime"),
    _field("access_estsize", Kind.LONG, "size of the file", "Access.size", "phys.size;meta.file", "kbyte"),
    _field("target_name", Kind.TEXT, "what was observed", "Target.name", "meta.id;src"),
    _field(
        *("s_ra", Kind.DOUBLE, "right ascension of the field's centre, or of the star"),
        *(f"{_SPACE}.Coverage.Location.Coord.Position2D.Value2.C1", "pos.eq.ra", "deg"),
        system="icrs",
    ),
    _field(
        *("s_dec", Kind.DOUBLE, "declination of the field's centre, or of the star"),
        *(f"{_SPACE}.Coverage.Location.Coord.Position2D.Value2.C2", "pos.eq.dec", "deg"),
        system="icrs",
    ),
    _field(
        *("s_fov", Kind.DOUBLE, "diameter of a circle about the image; 0 of a star"),
        *(f"{_SPACE}.Coverage.Bounds.Extent.diameter", "phys.angSize;instr.fov", "deg"),
    ),
    _field(
        *("s_region", Kind.CHAR, "that circle, about the template that the images are aligned to, or the star's place"),
        *(f"{_SPACE}.Coverage.Support.Area", "pos.outline;obs.field"),
        xtype=REGION,
        system="icrs",
    ),
    _field(
        *("s_resolution", Kind.DOUBLE, "full width of a star at half of its height"),
        *(f"{_SPACE}.Resolution.Refval.value", "pos.angResolution", "arcsec"),
    ),
    _field("s_xel1", Kind.LONG, "columns of pixels", f"{_SPACE}.numBins1", "meta.number"),
    _field("s_xel2", Kind.LONG, "rows of pixels", f"{_SPACE}.numBins2", "meta.number"),
    _field(
        *("t_min", Kind.DOUBLE, "start of the first exposure, MJD UTC"),
        *(f"{_TIME}.Coverage.Bounds.Limits.StartTime", "time.start;obs.exposure", "d"),
    ),
    _field(
        *("t_max", Kind.DOUBLE, "end of the last exposure, MJD UTC"),
        *(f"{_TIME}.Coverage.Bounds.Limits.StopTime", "time.end;obs.exposure", "d"),
    ),
    _field(
        *("t_exptime", Kind.DOUBLE, "exposure time of all its frames"),
        *(f"{_TIME}.Coverage.Support.Extent", "time.duration;obs.exposure", "s"),
    ),
    _field(
        *("t_resolution", Kind.DOUBLE, "exposure time of a point"),
        *(f"{_TIME}.Resolution.Refval.value", "time.resolution", "s"),
    ),
    _field("t_xel", Kind.LONG, "points in time", f"{_TIME}.numBins", "meta.number"),
    _field(
        *("em_min", Kind.DOUBLE, "shortest wavelength at half of a known filter's peak"),
        *(f"{_LIGHT}.Coverage.Bounds.Limits.LoLimit", "em.wl;stat.min", "m"),
    ),
    _field(
        *("em_max", Kind.DOUBLE, "longest wavelength at half of a known filter's peak"),
        *(f"{_LIGHT}.Coverage.Bounds.Limits.HiLimit", "em.wl;stat.max", "m"),
    ),
    _field(
        *("em_res_power", Kind.DOUBLE, "spectral resolving power: none"),
        *(f"{_LIGHT}.Resolution.ResolPower.refVal", "spect.resolution"),
    ),
    _field("em_xel", Kind.LONG, "bins in wavelength", f"{_LIGHT}.numBins", "meta.number"),
    _field("o_ucd", Kind.CHAR, "UCD of what was measured", "Char.ObservableAxis.ucd", "meta.ucd"),
    _field(
        "pol_states", Kind.CHAR, "polarisation: none", "Char.PolarizationAxis.stateList", "meta.code;phys.polarization"
    ),
    _field("pol_xel", Kind.LONG, "states of polarisation", "Char.PolarizationAxis.numBins", "meta.number"),
    _field(
        "facility_name",
        Kind.TEXT,
        "observatory or telescope",
        "Provenance.ObsConfig.Facility.name",
        "meta.id;instr.tel",
    ),
    _field("instrument_name", Kind.TEXT, "camera", "Provenance.ObsConfig.Instrument.name", "meta.id;instr"),
    Field("filter", Kind.TEXT, "photometric band", "", "meta.id;instr.filter"),
)
_observation, _image, _target = table_of(Observation), table_of(Image), table_of(Target)
_filter, _instrument, _place = table_of(Filter), table_of(Instrument), table_of(ObsSite)
_site, _process, _solution = table_of(Site), table_of(Process), table_of(PlateSolution)
_source, _position = table_of(Source), table_of(SourcePosition)


def _number(value: float) -> Sql:
    return literal(float(value), Kind.DOUBLE.sql_type)


def _words(value: Sql) -> Sql:
    return cast(value, String(64))


def _joined(*parts: Sql | str) -> Sql:
    first, *others = [literal(one) if isinstance(one, str) else one for one in parts]
    for one in others:
        first = first.concat(one)
    return first


def _edge(sign: int) -> Sql:
    """An edge of the filter's band, m."""
    edges = {name: 1e-9 * (centre + sign * width / 2) for name, (centre, width) in BANDS.items()}
    return case(*((_filter.c.name == name, _number(edge)) for name, edge in edges.items()))


def _solved() -> FromClause:
    """The newest solution of each graph's template."""
    newest = select(_process.c.graph_pid, func.max(_solution.c.pid).label("pid"))
    newest = newest.join(_process, _process.c.pid == _solution.c.pid).where(_solution.c.solved.is_(True))
    return newest.group_by(_process.c.graph_pid).subquery("solved")


def _spans() -> FromClause:
    """When the frames of each graph were taken, and how many there are."""
    half = func.coalesce(_image.c.exposure_s, _number(0)) / _number(2 * SECONDS_A_DAY)
    return (
        select(
            _image.c.graph_pid,
            func.min(_image.c.jd_utc - half).label("first"),
            func.max(_image.c.jd_utc + half).label("last"),
            func.count().label("frames"),
        )
        .where(_image.c.kind == CALIBRATED)
        .group_by(_image.c.graph_pid)
        .subquery("spans")
    )


def _of_observations(start: FromClause, solved: FromClause, spans: FromClause) -> FromClause:
    """Joins what is known of an observation to ``start``, which holds its row."""
    o = _observation.c
    return (
        start.join(_target, and_(_target.c.target_id == o.target_id, _target.c.kind == LIGHT))
        .join(_filter, _filter.c.filter_id == o.filter_id)
        .join(_instrument, _instrument.c.instrument_id == o.instrument_id)
        .outerjoin(_place, _place.c.obs_site_id == o.obs_site_id)
        .outerjoin(solved, solved.c.graph_pid == o.graph_pid)
        .outerjoin(_solution, _solution.c.pid == solved.c.pid)
        .outerjoin(spans, spans.c.graph_pid == o.graph_pid)
    )


def _columns(links: str, kind: str, numbers: Sequence[Sql], **own: Sql) -> list[Sql]:
    """All columns in their order: those of an image or curve by name, what all have, and nothing else."""
    named: list[Sql | str] = []
    for number in numbers:
        named += ["/", _words(number)] if named else [_words(number)]
    shared: dict[str, Sql] = {
        "obs_collection": literal(COLLECTION),
        "obs_id": _words(_observation.c.observation_id),
        "obs_publisher_did": _joined(start_of(kind), *named),
        "access_url": _joined(
            f"{links}?ID={start_of(kind, is_quoted=True)}",
            *("%2F" if isinstance(one, str) else one for one in named),
        ),
        "access_format": literal(LINKS_TYPE),
        "t_resolution": _observation.c.exposure_s,
        "em_min": _edge(-1),
        "em_max": _edge(1),
        "facility_name": func.coalesce(_place.c.name, func.nullif(_instrument.c.telescope, "")),
        "instrument_name": _instrument.c.name,
        "filter": _filter.c.name,
    }
    found = shared | own
    return [found.get(one.name, null()).label(one.name) for one in FIELDS]


def _title(what: str | Sql) -> Sql:
    return _joined(what, " of ", _target.c.name, ", filter ", _filter.c.name, ", night ", _words(_observation.c.night))


def _images(links: str, site: str) -> Select[Any]:
    i, p, spans, solved = _image.c, _solution.c, _spans(), _solved()
    is_template = i.kind == TEMPLATE
    frames = case((is_template, func.coalesce(i.weight, _number(1))), else_=_number(1))
    half = i.exposure_s / _number(2 * SECONDS_A_DAY)
    circle = _joined("Circle ICRS ", _words(p.ra_deg), " ", _words(p.dec_deg), " ", _words(p.radius_deg))
    columns = _columns(
        links,
        IMAGE,
        [i.image_id],
        dataproduct_type=literal("image"),
        calib_level=case((is_template, 3), else_=2),
        obs_title=_title(case((is_template, "stacked image"), else_="calibrated image")),
        access_estsize=i.size_bytes // literal(1024),
        target_name=_target.c.name,
        s_ra=p.ra_deg,
        s_dec=p.dec_deg,
        s_fov=p.radius_deg * _number(2),
        s_region=circle,
        s_resolution=i.fwhm * p.pixel_scale_arcsec,
        s_xel1=i.nx,
        s_xel2=i.ny,
        t_min=case((is_template, spans.c.first), else_=i.jd_utc - half) - _number(MJD_ZERO),
        t_max=case((is_template, spans.c.last), else_=i.jd_utc + half) - _number(MJD_ZERO),
        t_exptime=func.coalesce(i.exposure_s, _observation.c.exposure_s) * frames,
        t_xel=literal(1),
        o_ucd=literal("phot.count"),
    )
    start = _image.join(
        _observation, and_(_observation.c.graph_pid == i.graph_pid, _observation.c.observation_id == i.observation_id)
    )
    own = select(_site.c.site_id).where(_site.c.name == site).scalar_subquery()
    return (
        select(*columns)
        .select_from(_of_observations(start, solved, spans))
        .where(or_(i.kind == TEMPLATE, i.kind == CALIBRATED), i.deleted_at.is_(None), i.site_id == own)
    )


def _curves(links: str) -> Select[Any]:
    s, spans, solved = _source.c, _spans(), _solved()
    columns = _columns(
        links,
        CURVE,
        [_observation.c.observation_id, s.source_id],
        dataproduct_type=literal("timeseries"),
        calib_level=literal(3),
        obs_title=_title(_joined("light curve of star ", _words(s.source_id), " in the field")),
        target_name=_joined("star ", _words(s.source_id)),
        s_ra=s.ra_deg,
        s_dec=s.dec_deg,
        s_fov=case((s.ra_deg.is_not(None), _number(0))),
        s_region=_joined("Position ICRS ", _words(s.ra_deg), " ", _words(s.dec_deg)),
        t_min=spans.c.first - _number(MJD_ZERO),
        t_max=spans.c.last - _number(MJD_ZERO),
        t_exptime=_observation.c.exposure_s * spans.c.frames,
        t_xel=spans.c.frames,
        o_ucd=literal("phot.flux;arith.ratio"),
    )
    start = (
        _position.join(_process, and_(_process.c.pid == _position.c.pid, _process.c.command == DETECT.command))
        .join(_observation, _observation.c.graph_pid == _process.c.graph_pid)
        .join(_source, s.source_id == _position.c.source_id)
    )
    return (
        select(*columns)
        .select_from(_of_observations(start, solved, spans))
        .where(_observation.c.calibration_pid.is_not(None))
    )


def obscore(links: str, site: str) -> PublishedTable:
    """The table, whose rows lead to ``links``; images are those of a site, whose files can be read there."""

    def rows() -> FromClause:
        return union_all(_images(links, site), _curves(links)).subquery()

    return PublishedTable(
        *(SCHEMA, "obscore", "Images and light curves as data sets", FIELDS, rows),
        position=("s_ra", "s_dec"),
        circles={"s_region": ("s_ra", "s_dec", "s_fov")},
        utype="ivo://ivoa.net/std/ObsCore#core-1.1",
    )
