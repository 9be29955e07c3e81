"""Light curves: apertures, raw fluxes, relative fluxes, reference stars and statistics.

Measurements carry no foreign keys: a check against a status row would block that row while thousands of
fluxes go in. Their keys start with the source, so that one light curve is one range read; on MySQL and
MariaDB they are partitioned by image (see ``schema.partitions``), so that inserts stay in memory.
"""

from sqlalchemy import BigInteger, Boolean, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from schema.base import MEASUREMENT_OPTIONS, TABLE_OPTIONS, Base, Pid, Real, Single, Small


class Aperture(Base):
    """The apertures of one graph; ``aperture`` counts from 0, radii in pixels.

    ``kind`` is circle or kron (an ellipse of each source's own shape, ``radius`` its Kron factor). Where ``factor`` is
    set the circle follows each image: its radius there is ``factor * image.fwhm``, and ``radius`` is that of the
    observation's FWHM, ``fwhm``. ``sky`` is annulus or global (the frame's background map alone).
    """

    __tablename__ = "aperture"
    __table_args__ = (Index(None, "observation_id"), TABLE_OPTIONS)
    graph_pid: Mapped[Pid] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    aperture: Mapped[Small] = mapped_column(primary_key=True, autoincrement=False)
    observation_id: Mapped[int] = mapped_column(ForeignKey("observation.observation_id"))
    radius: Mapped[Real]
    annulus_inner: Mapped[Real]
    annulus_outer: Mapped[Real]
    kind: Mapped[str] = mapped_column(String(8), server_default="circle")
    factor: Mapped[Real | None]
    fwhm: Mapped[Real | None]
    sky: Mapped[str] = mapped_column(String(8), server_default="annulus")


class ApertureCorrection(Base):
    """Total flux over the flux in an aperture, from one image's bright stars (its curve of growth)."""

    __tablename__ = "aperture_correction"
    __table_args__ = MEASUREMENT_OPTIONS
    image_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    aperture: Mapped[Small] = mapped_column(primary_key=True, autoincrement=False)
    correction: Mapped[Real]
    correction_error: Mapped[Real | None]
    stars: Mapped[int]


class Flux(Base):
    """Raw aperture flux of one source on one calibrated image, ADU; never updated."""

    __tablename__ = "flux"
    __table_args__ = MEASUREMENT_OPTIONS
    source_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    image_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    aperture: Mapped[Small] = mapped_column(primary_key=True, autoincrement=False)
    flux: Mapped[Real | None]
    flux_error: Mapped[Real | None]
    flag: Mapped[Small] = mapped_column(default=0)


class RelativeFlux(Base):
    """Flux relative to the reference stars, median 1, keyed by the process that found these stars and their weights.

    Frames that came later stand beside its own; table later_frame tells which, and what process divided them.
    """

    __tablename__ = "relative_flux"
    __table_args__ = MEASUREMENT_OPTIONS
    source_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    image_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    aperture: Mapped[Small] = mapped_column(primary_key=True, autoincrement=False)
    pid: Mapped[Pid] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    flux: Mapped[Real | None]
    flux_error: Mapped[Real | None]


class ReferenceStar(Base):
    """The part each source plays in one calibration: its group, whether it is a reference, its weight."""

    __tablename__ = "reference_star"
    __table_args__ = MEASUREMENT_OPTIONS
    pid: Mapped[Pid] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    source_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    aperture: Mapped[Small] = mapped_column(primary_key=True, autoincrement=False)
    method: Mapped[str] = mapped_column(String(16))
    reference_group: Mapped[int]
    is_reference: Mapped[bool] = mapped_column(Boolean)
    role: Mapped[str | None] = mapped_column(String(16))  # target, reference, check; NULL for all others
    weight: Mapped[Single | None]
    # By what later frames are divided; NULL of a Tianyu before it told.
    level: Mapped[Real | None]  # the star's raw flux over that of the references, the median of its usable points
    mean_level: Mapped[Real | None]  # a reference's, by which it is divided before it enters a weighted mean
    scatter: Mapped[Real | None]  # of its relative light curve
    error_factor: Mapped[Real | None]  # by which errors of the noise model are multiplied


class LaterFrame(Base):
    """A frame that came after a relative calibration, and the process that divided it by its reference stars."""

    __tablename__ = "later_frame"
    calibration_pid: Mapped[Pid] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    image_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    pid: Mapped[Pid] = mapped_column(BigInteger)


class RelativeCalibration(Base):
    """What one relative calibration came to in one aperture: how many references, and by which rules."""

    __tablename__ = "relative_calibration"
    pid: Mapped[Pid] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    aperture: Mapped[Small] = mapped_column(primary_key=True, autoincrement=False)
    observation_id: Mapped[int]
    method: Mapped[str] = mapped_column(String(16))
    reference_stars: Mapped[int]
    reference_groups: Mapped[int]
    relaxation: Mapped[str] = mapped_column(String(16))  # how far the rules for references had to give way
    # Of relative errors: noise model, or like stars.
    error_source: Mapped[str | None] = mapped_column(String(16))
    error_scale: Mapped[Real | None]  # by which they were multiplied, median of all stars
    takes_later: Mapped[bool | None] = mapped_column(Boolean)  # whether later frames can go by its reference stars


class ZeroPoint(Base):
    """Gaia G of any star from its flux on one image, by one `zero_point` process.

    G = zero_point - 2.5 log10(flux) + colour_term (colour - colour_reference)
    + field_u u + field_v v + field_uu u² + field_uv u v + field_vv v², with colour, u and v of table zero_point_star.
    """

    __tablename__ = "zero_point"
    __table_args__ = MEASUREMENT_OPTIONS
    pid: Mapped[Pid] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    image_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    aperture: Mapped[Small] = mapped_column(primary_key=True, autoincrement=False)
    observation_id: Mapped[int]
    zero_point: Mapped[Real]  # mag, of 1 ADU in the exposure
    zero_point_error: Mapped[Real]
    colour_term: Mapped[Real]
    colour_reference: Mapped[Real]  # BP - RP
    field_u: Mapped[Real]
    field_v: Mapped[Real]
    field_uu: Mapped[Real]
    field_uv: Mapped[Real]
    field_vv: Mapped[Real]
    scatter: Mapped[Real]  # of the stars about the fit, mag
    stars: Mapped[int]
    transparency: Mapped[Real | None]  # light relative to the night's clearest frames, from the zero points


class ZeroPointStar(Base):
    """What the zero points need of each star, and the part it played in them."""

    __tablename__ = "zero_point_star"
    __table_args__ = MEASUREMENT_OPTIONS
    pid: Mapped[Pid] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    source_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    u: Mapped[Real]  # place on the template, -1 to 1 across its longer side
    v: Mapped[Real]
    colour: Mapped[Real]  # BP - RP; the field's median where Gaia has none
    colour_error: Mapped[Real]
    used: Mapped[bool] = mapped_column(Boolean)
    colour_known: Mapped[bool | None] = mapped_column(Boolean)  # NULL of a Tianyu before it told


class StandardTransformation(Base):
    """What one night, filter and aperture need to come to a standard band, by one `zero_point` process.

    band = zero_point - 2.5 log10(flux) + colour_term (colour - colour_reference)
    + field_u u + field_v v + field_uu u² + field_uv u v + field_vv v², with the zero point and the field's terms of
    standard_zero_point and colour, u and v of zero_point_star; for colours from colour_low to colour_high alone.
    """

    __tablename__ = "standard_transformation"
    __table_args__ = TABLE_OPTIONS
    pid: Mapped[Pid] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    aperture: Mapped[Small] = mapped_column(primary_key=True, autoincrement=False)
    observation_id: Mapped[int]
    band: Mapped[str] = mapped_column(String(8))  # B, V, Rc, Ic, g, r, i, z
    origin: Mapped[str] = mapped_column(String(16))  # of the stars' magnitudes: relation, synthetic, table, table-ps1
    colour_term: Mapped[Real]
    colour_term_error: Mapped[Real]
    colour_reference: Mapped[Real]  # BP - RP
    colour_low: Mapped[Real]  # of the stars that it rests on, within those of the relation
    colour_high: Mapped[Real]
    systematic: Mapped[Real | None]  # published scatter of the relation, mag; NULL where a table's is not known
    scatter: Mapped[Real]  # of the stars about the fit, median of the frames, mag
    stars: Mapped[int]  # that it rests on


class StandardZeroPoint(Base):
    """The zero point of one image in a standard band, see StandardTransformation."""

    __tablename__ = "standard_zero_point"
    __table_args__ = MEASUREMENT_OPTIONS
    pid: Mapped[Pid] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    image_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    aperture: Mapped[Small] = mapped_column(primary_key=True, autoincrement=False)
    zero_point: Mapped[Real]  # mag, of 1 ADU in the exposure
    zero_point_error: Mapped[Real]
    field_u: Mapped[Real]
    field_v: Mapped[Real]
    field_uu: Mapped[Real]
    field_uv: Mapped[Real]
    field_vv: Mapped[Real]
    scatter: Mapped[Real]  # of the stars about the fit, mag
    stars: Mapped[int]


class LightCurveStatistics(Base):
    """Scatter of one light curve over the good frames, beside what the noise model predicts."""

    __tablename__ = "light_curve_statistics"
    __table_args__ = (Index(None, "source_id"), TABLE_OPTIONS)
    pid: Mapped[Pid] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    source_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    aperture: Mapped[Small] = mapped_column(primary_key=True, autoincrement=False)
    observation_id: Mapped[int]
    calibration_pid: Mapped[Pid] = mapped_column(BigInteger)
    epochs: Mapped[int]
    flux_median: Mapped[Real | None]  # ADU
    # Scatters are NULL below five points.
    scatter: Mapped[Real | None]  # robust standard deviation of the relative flux
    standard_deviation: Mapped[Real | None]
    point_to_point: Mapped[Real | None]
    error_median: Mapped[Real | None]  # quoted error of a point
    chi2_reduced: Mapped[Real | None]
    von_neumann: Mapped[Real | None]
    best_aperture: Mapped[bool] = mapped_column(Boolean)  # the aperture that should scatter least
    best_snr: Mapped[bool | None] = mapped_column(Boolean)  # the aperture of the greatest signal over quoted noise
    # Relative noise of a typical point as the CCD equation predicts it, and its parts.
    expected_scatter: Mapped[Real | None]
    noise_source: Mapped[Real | None]
    noise_sky: Mapped[Real | None]
    noise_read: Mapped[Real | None]
    noise_dark: Mapped[Real | None]
    noise_flat: Mapped[Real | None]
    noise_scintillation: Mapped[Real | None]
    noise_reference: Mapped[Real | None]
    cdpp: Mapped[Real | None]  # relative, over 0.5 h
    expected_cdpp: Mapped[Real | None]  # the same of the quoted errors


class Variability(Base):
    """How variable one source is in its best aperture, and how likely that is chance; rank 1 is the most variable."""

    __tablename__ = "variability"
    __table_args__ = (Index(None, "source_id"), TABLE_OPTIONS)
    pid: Mapped[Pid] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    source_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    observation_id: Mapped[int]
    aperture: Mapped[Small]
    variability_rank: Mapped[int]
    candidate: Mapped[bool] = mapped_column(Boolean)
    false_alarm: Mapped[Real | None]  # probability that any constant star of the field looks like this
    leading_test: Mapped[str | None] = mapped_column(String(24))  # the one that says so
    suspicion: Mapped[int | None]  # bits: why the variation may not be the star's own
    excess_scatter: Mapped[Real | None]  # relative, beyond the quoted errors
    excess_significance: Mapped[Real | None]
    stetson_j: Mapped[Real | None]
    stetson_k: Mapped[Real | None]
    von_neumann: Mapped[Real | None]
    night_trend: Mapped[Real | None]  # range of the parabola along the night, share of the flux
    # Periodograms, of the stars that the cheap statistics put first only.
    sine_period_d: Mapped[Real | None]
    sine_period_error_d: Mapped[Real | None]
    sine_amplitude: Mapped[Real | None]
    sine_false_alarm: Mapped[Real | None]
    box_period_d: Mapped[Real | None]
    box_depth: Mapped[Real | None]
    box_duration_d: Mapped[Real | None]
    box_mid_bjd: Mapped[Real | None]
    box_snr: Mapped[Real | None]
    box_false_alarm: Mapped[Real | None]
