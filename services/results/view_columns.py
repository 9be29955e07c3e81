"""What the columns of the published views mean: the one place for exports, services and pages.

UCDs are those of the IVOA's list (UCD1+); ``system`` says by which clock or axes a number counts.
"""

from dataclasses import dataclass
from typing import Literal

from pipeline.flags import Flag

System = Literal["", "tdb", "utc", "icrs"]
Dtype = Literal["i4", "i8", "f8", "bool", "str", "date"]

FLAG_DESCRIPTION = f"bits: {', '.join(f'{bit.value} {bit.name.lower()}' for bit in Flag if bit.name)}"
USABLE_DESCRIPTION = "measured on a good image, with no flag that speaks against a single point"


@dataclass(frozen=True)
class Column:
    """A column of a view: numpy type, unit, meaning, and what the Virtual Observatory calls it."""

    name: str
    dtype: Dtype
    unit: str | None
    description: str
    ucd: str = ""
    system: System = ""


OBSERVATION_ID = Column("observation_id", "i8", None, "observation", "meta.id;obs")
SOURCE_ID = Column("source_id", "i8", None, "source", "meta.id;src")
IMAGE_ID = Column("image_id", "i8", None, "calibrated image", "meta.id;obs.image")
JD_UTC = Column("jd_utc", "f8", "d", "Julian date of mid-exposure, UTC", "time.epoch", "utc")
BJD_TDB = Column("bjd_tdb", "f8", "d", "barycentric Julian date of mid-exposure, TDB", "time.epoch", "tdb")

LIGHT_CURVE = (
    OBSERVATION_ID,
    SOURCE_ID,
    IMAGE_ID,
    JD_UTC,
    BJD_TDB,
    Column("aperture", "i4", None, "index of the aperture", "meta.id;instr.setup"),
    Column("flux_raw", "f8", "adu", "aperture flux, sky subtracted", "phot.count"),
    Column(
        "flux_raw_error", "f8", "adu", "standard deviation of flux_raw by the CCD equation", "stat.error;phot.count"
    ),
    Column("flux_relative", "f8", None, "flux relative to the reference stars, median 1", "phot.flux;arith.ratio"),
    Column(
        *("flux_relative_error", "f8", None, "standard deviation of flux_relative, the reference stars' included"),
        "stat.error;phot.flux;arith.ratio",
    ),
    Column("reference_group", "i8", None, "group of reference stars", "meta.id"),
    Column("is_reference", "bool", None, "the source is itself a reference star", "meta.code"),
    Column("flag", "i4", None, FLAG_DESCRIPTION, "meta.code.qual"),
    Column("image_good", "bool", None, "the image was not rejected", "meta.code.qual"),
    Column("method", "str", None, "method of the relative calibration", "meta.note"),
    Column("aperture_best", "bool", None, "the aperture in which the source should scatter least", "meta.code"),
    Column(
        *("flux_detrended", "f8", None, "flux_relative without what follows the instrument and the air"),
        "phot.flux;arith.ratio",
    ),
    Column(
        *("flux_detrended_error", "f8", None, "standard deviation of flux_detrended"),
        "stat.error;phot.flux;arith.ratio",
    ),
    Column("mag", "f8", "mag", "Gaia's G by flux_raw, its frame's zero point and the star's colour", "phot.mag;em.opt"),
    Column(
        *("mag_error", "f8", "mag", "standard deviation of mag, the calibration's included"),
        "stat.error;phot.mag;em.opt",
    ),
    Column(
        *("bjd_tdb_source", "f8", "d", "bjd_tdb of the star itself, where bjd_tdb is the field's centre's"),
        *("time.epoch", "tdb"),
    ),
    Column("usable", "bool", None, USABLE_DESCRIPTION, "meta.code.qual"),
)

_AT_PLACE = "at the place, whatever is there"
FORCED_LIGHT_CURVE = (
    OBSERVATION_ID,
    Column("target", "str", None, "place that was asked for, as the list names it", "meta.id;src"),
    Column("ra", "f8", "deg", "right ascension of the place in that night", "pos.eq.ra", "icrs"),
    Column("dec", "f8", "deg", "declination of the place in that night", "pos.eq.dec", "icrs"),
    Column("nearest_source_id", "i8", None, "the source that is next to the place", "meta.id.assoc"),
    Column("nearest_arcsec", "f8", "arcsec", "distance of that source", "pos.angDistance"),
    Column("is_source", "bool", None, "that source is what stands at the place", "meta.code"),
    IMAGE_ID,
    JD_UTC,
    BJD_TDB,
    Column("bjd_tdb_source", "f8", "d", "bjd_tdb of the place itself", "time.epoch", "tdb"),
    Column("aperture", "i4", None, "index of the aperture", "meta.id;instr.setup"),
    Column("aperture_best", "bool", None, "the smallest circle, in which faint light has least noise", "meta.code"),
    Column("flux_raw", "f8", "adu", f"aperture flux {_AT_PLACE}, sky subtracted; may be negative", "phot.count"),
    Column(
        *("flux_raw_error", "f8", "adu", "standard deviation of flux_raw by the CCD equation"), "stat.error;phot.count"
    ),
    Column(
        *("flux_forced", "f8", "adu", "flux_raw on the night's median good frame, by the reference stars"),
        "phot.count",
    ),
    Column(
        *("flux_forced_error", "f8", "adu", "standard deviation of flux_forced, the reference stars' included"),
        "stat.error;phot.count",
    ),
    Column("significance", "f8", None, "flux_raw over its error", "stat.snr"),
    Column(
        *("flux_limit", "f8", "adu", "3 standard deviations above flux_forced, or above 0; where significance < 3"),
        "phot.count;stat.max",
    ),
    Column("mag", "f8", "mag", "Gaia's G without a colour term, where significance >= 3", "phot.mag;em.opt"),
    Column("mag_error", "f8", "mag", "standard deviation of mag", "stat.error;phot.mag;em.opt"),
    Column("mag_limit", "f8", "mag", "Gaia's G of flux_limit", "phot.mag;em.opt;stat.min"),
    Column("flag", "i4", None, FLAG_DESCRIPTION, "meta.code.qual"),
    Column("image_good", "bool", None, "the image was not rejected", "meta.code.qual"),
    Column("usable", "bool", None, USABLE_DESCRIPTION, "meta.code.qual"),
)

SOURCE_CATALOG = (
    Column("source_id", "i8", None, "source", "meta.id;meta.main"),
    Column("sky_id", "i8", None, "the sky that first showed the source", "meta.id"),
    Column("x", "f8", "pixel", "place on the first template of that sky, 0-based", "pos.cartesian.x;instr.det"),
    Column("y", "f8", "pixel", "place on the first template of that sky, 0-based", "pos.cartesian.y;instr.det"),
    Column("ra", "f8", "deg", "right ascension", "pos.eq.ra;meta.main", "icrs"),
    Column("dec", "f8", "deg", "declination", "pos.eq.dec;meta.main", "icrs"),
    Column("flux", "f8", "adu", "flux on the latest template", "phot.count"),
    Column("flux_error", "f8", "adu", "standard deviation of flux", "stat.error;phot.count"),
    Column("gaia_source_id", "i8", None, "number in Gaia DR3 of the Gaia source that is the star", "meta.id.cross"),
    Column("gaia_distance_arcsec", "f8", "arcsec", "distance of that Gaia source", "pos.angDistance"),
    Column("gaia_variable", "bool", None, "Gaia says that it varies", "meta.code;src.var"),
    Column("healpix", "i8", None, "HEALPix cell of order 12, nested", "pos.healpix"),
    Column("gaia_g_mag", "f8", "mag", "Gaia's G", "phot.mag;em.opt"),
    Column("gaia_bp_mag", "f8", "mag", "Gaia's BP", "phot.mag;em.opt.B"),
    Column("gaia_rp_mag", "f8", "mag", "Gaia's RP", "phot.mag;em.opt.R"),
    Column("gaia_parallax_mas", "f8", "mas", "Gaia's parallax", "pos.parallax"),
    Column("same_as", "i8", None, "the source that is this star's, where it was measured as two", "meta.id.assoc"),
)

_DETECTOR_X, _DETECTOR_Y = "pos.cartesian.x;instr.det", "pos.cartesian.y;instr.det"

SOURCE_PLACE = (
    OBSERVATION_ID,
    SOURCE_ID,
    Column("x", "f8", "pixel", "place on the observation's first frame, 0-based", _DETECTOR_X),
    Column("y", "f8", "pixel", "place on the observation's first frame, 0-based", _DETECTOR_Y),
    Column("template_x", "f8", "pixel", "place on the observation's template, 0-based", _DETECTOR_X),
    Column("template_y", "f8", "pixel", "place on the observation's template, 0-based", _DETECTOR_Y),
    Column("flux", "f8", "adu", "flux on the template", "phot.count"),
    Column("first_image_id", "i8", None, "the first frame's calibrated image", "meta.id;obs.image"),
)

FRAME = (
    OBSERVATION_ID,
    Column("frame_id", "i8", None, "frame of the camera", "meta.id;meta.main"),
    IMAGE_ID,
    Column("path", "str", None, "file, below the site's root or absolute", "meta.ref"),
    Column("kind", "str", None, "bias, dark, flat, light, or unknown", "meta.code.class"),
    Column("target", "str", None, "what was observed", "meta.id;src"),
    Column("filter", "str", None, "photometric band", "meta.id;instr.filter"),
    Column("night", "date", None, "date of the evening", "time.epoch;obs"),
    Column("exposure_s", "f8", "s", "exposure time", "time.duration;obs.exposure"),
    JD_UTC,
    BJD_TDB,
    Column("airmass", "f8", None, "airmass of the field's centre", "obs.airMass"),
    Column("altitude_deg", "f8", "deg", "altitude of the field's centre", "pos.az.alt"),
    Column("azimuth_deg", "f8", "deg", "azimuth of the field's centre, from north through east", "pos.az.azi"),
    Column("star_count", "i8", None, "stars found", "meta.number;src"),
    Column("fwhm", "f8", "pixel", "full width of a star at half of its height", "instr.obsty.seeing"),
    Column("ellipticity", "f8", None, "ellipticity of the stars", "src.ellipticity"),
    Column("sky", "f8", "adu/pixel", "brightness of the sky", "instr.background"),
    Column("sky_rms", "f8", "adu/pixel", "standard deviation of the sky", "stat.stdev;instr.background"),
    Column(
        "transparency",
        "f8",
        None,
        "light of common stars over that of the clearest frames",
        "phys.transmission;obs.atmos",
    ),
    Column("hot_pixels", "i8", None, "pixels masked as hot, dead or bad", "meta.number;instr.pixel"),
    Column("cosmic_rays", "i8", None, "pixels masked as cosmic rays", "meta.number;instr.pixel"),
    Column("trails", "i8", None, "trails of satellites and aircraft", "meta.number"),
    Column("dx", "f8", "pixel", "shift from the reference frame", _DETECTOR_X),
    Column("dy", "f8", "pixel", "shift from the reference frame", _DETECTOR_Y),
    Column("rotation_deg", "f8", "deg", "rotation from the reference frame", "pos.posAng;instr.det"),
    Column("scale", "f8", None, "scale over the reference frame's", "instr.scale"),
    Column("alignment_rms", "f8", "pixel", "residuals of the alignment", "stat.rms;instr.det"),
    Column("alignment_matches", "i8", None, "stars of the alignment", "meta.number;src"),
    Column("is_reference", "bool", None, "the others are aligned to it", "meta.code"),
    Column("good", "bool", None, "it was not rejected", "meta.code.qual"),
    Column("reason", "str", None, "why it was rejected", "meta.note"),
    Column("weight", "f8", None, "weight in the stack", "stat.weight"),
    Column("gain", "f8", "adu**-1", "electrons of one ADU", "arith.factor;instr.det"),
    Column("site", "str", None, "whose files they are", "meta.id;instr"),
)

# Of tables that services publish besides the views.

OBSERVATION = (
    Column("observation_id", "i8", None, "observation: frames that are processed together", "meta.id;meta.main"),
    Column("target", "str", None, "what was observed", "meta.id;src"),
    Column("filter", "str", None, "photometric band", "meta.id;instr.filter"),
    Column("instrument", "str", None, "camera", "meta.id;instr"),
    Column("telescope", "str", None, "telescope", "meta.id;instr.tel"),
    Column("observatory", "str", None, "where the telescope stands", "meta.id;instr.obsty"),
    Column("site", "str", None, "whose files the frames are", "meta.id;instr"),
    Column("night", "date", None, "date of the evening", "time.epoch;obs"),
    Column("exposure_s", "f8", "s", "exposure time of a frame", "time.duration;obs.exposure"),
    Column("sky_id", "i8", None, "the field", "meta.id"),
    Column(
        "ra", "f8", "deg", "right ascension of the field's centre, where it is solved", "pos.eq.ra;meta.main", "icrs"
    ),
    Column("dec", "f8", "deg", "declination of the field's centre, where it is solved", "pos.eq.dec;meta.main", "icrs"),
    Column("radius_deg", "f8", "deg", "from the centre to the farthest corner", "phys.angSize"),
    Column("publication", "i8", None, "the graph of processes whose results are shown", "meta.id"),
    Column("tianyu_version", "str", None, "the Tianyu that published it", "meta.version;meta.software"),
)

VARIABILITY = (
    OBSERVATION_ID,
    SOURCE_ID,
    Column("aperture", "i4", None, "index of the aperture", "meta.id;instr.setup"),
    Column("variability_rank", "i8", None, "1 is the most variable of the observation", "meta.number;src.var"),
    Column(
        "candidate", "bool", None, "improbable for a constant star, and nothing else explains it", "meta.code;src.var"
    ),
    Column(
        "false_alarm", "f8", None, "probability that any constant star of the field looks like this", "stat.probability"
    ),
    Column("leading_test", "str", None, "the test that says so", "meta.note"),
    Column("suspicion", "i4", None, "bits: why the variation may not be the star's own", "meta.code.qual"),
    Column("excess_scatter", "f8", None, "relative scatter beyond the quoted errors", "src.var.amplitude"),
    Column("stetson_j", "f8", None, "Stetson's J", "src.var.index"),
    Column("von_neumann", "f8", None, "von Neumann's ratio", "src.var.index"),
    Column("night_trend", "f8", None, "range of the slow change along the night, relative", "src.var.amplitude"),
    Column("sine_period_d", "f8", "d", "period of the best sine", "src.var.pulse;time.period"),
    Column("sine_amplitude", "f8", None, "relative amplitude of that sine", "src.var.amplitude"),
    Column("sine_false_alarm", "f8", None, "its false-alarm probability", "stat.probability"),
    Column("box_period_d", "f8", "d", "period of the best dip", "time.period"),
    Column("box_depth", "f8", None, "relative depth of that dip", "src.var.amplitude"),
    Column("box_duration_d", "f8", "d", "duration of that dip", "time.duration"),
    Column("box_mid_bjd", "f8", "d", "middle of that dip, BJD TDB", "time.epoch", "tdb"),
    Column("box_snr", "f8", None, "signal to noise of that dip", "stat.snr"),
)

STATISTICS = (
    OBSERVATION_ID,
    SOURCE_ID,
    Column("aperture", "i4", None, "index of the aperture", "meta.id;instr.setup"),
    Column("best_aperture", "bool", None, "the aperture in which the source should scatter least", "meta.code"),
    Column("epochs", "i8", None, "points of the light curve", "meta.number"),
    Column("flux_median", "f8", "adu", "median flux", "phot.count;stat.median"),
    Column("scatter", "f8", None, "robust standard deviation of flux_relative", "stat.stdev;phot.flux"),
    Column("point_to_point", "f8", None, "scatter from point to point", "stat.stdev;phot.flux"),
    Column("error_median", "f8", None, "median quoted error of a point", "stat.error;phot.flux"),
    Column("chi2_reduced", "f8", None, "reduced chi-square against a constant", "stat.fit.chi2"),
    Column("expected_scatter", "f8", None, "scatter that the CCD equation predicts", "stat.stdev;phot.flux"),
    Column("cdpp", "f8", None, "relative noise over half an hour", "stat.stdev;phot.flux"),
)
