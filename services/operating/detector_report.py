"""What was measured of a camera, in words: values with errors, how sure they are, what is lacking, and a table."""

import json
from dataclasses import asdict, dataclass
from glob import escape
from math import isfinite, sqrt
from typing import Any

from pipeline.detector.linearity import FEWEST_EXPOSURES, STEADY, TOLERANCE
from pipeline.detector.photon_transfer import Estimate
from pipeline.noise import DIGITISATION_VARIANCE
from services.operating.measuring import Measured

GOOD, FAIR = 0.01, 0.05  # relative errors of what is called so
FEW_PAIRS = 3
ROW_NOISE = 1.1  # of the read noise over that of neighbouring pixels
COARSE = 0.7  # read noise in steps of the counts, below which rounding shapes it
LONGEST_PATTERN = 64
PERCENT = 100.0


@dataclass(frozen=True)
class Fact:
    """One quantity. ``bound``: it is `at least` or `at most` so much; ``sure``: good, fair or poor."""

    name: str
    value: float
    error: float
    unit: str
    sure: str
    by: str
    bound: str = ""
    key: str = ""  # of the instrument's table


@dataclass(frozen=True)
class DetectorReport:
    """All of one camera."""

    title: str
    facts: list[Fact]
    lacking: list[str]
    doubts: list[str]
    table: str

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        return asdict(self)


def report_of(found: Measured) -> DetectorReport:
    """The report of a camera."""
    facts = [*_noise(found), *_levels(found), *_dark(found), *_defects(found)]
    camera = found.camera
    parts = [camera.instrument, camera.telescope, camera.binning, camera.setting, camera.geometry]
    title = ", ".join(part for part in parts if part)
    return DetectorReport(title, facts, _lacking(found), _doubts(found), _table(found, facts))


def _noise(found: Measured) -> list[Fact]:
    facts = []
    gain = None if found.transfer is None else found.transfer.gain
    pairs = f"{found.flat_pairs} pair(s) of flats"
    if gain is not None and found.transfer is not None:
        light = found.curve[0]
        by = f"{pairs} of {light.min():.0f} to {light.max():.0f} ADU above the bias, {found.transfer.boxes} boxes used"
        is_few = found.flat_pairs < FEW_PAIRS or found.transfer.bend is None
        facts.append(_fact("gain", gain, "e-/ADU", by, is_few, "gain"))
    if found.read is not None:
        rms = _root(found.read.whole, DIGITISATION_VARIANCE * found.step**2)
        by = f"{found.bias_pairs} pair(s) of {found.zero_kind} frames"
        is_few = found.bias_pairs < FEW_PAIRS or found.zero_kind != "bias"
        facts.append(_fact("read noise", rms, "ADU", by, is_few))
        if gain is not None:
            facts.append(_fact("read noise", rms.times(gain), "e-", by, is_few, "read_noise"))
    return facts


def _levels(found: Measured) -> list[Fact]:
    facts = []
    if found.saturation is not None:
        facts.append(_fact("saturation", found.saturation, "ADU", found.saturation_by, False, "saturation"))
    elif isfinite(found.highest):
        reached = Estimate(found.highest, 0.0, "at least")
        facts.append(_fact("saturation", reached, "ADU", "the brightest flat is not saturated", True))
    limits = [(one.limit, name, one) for name, one in found.linearity.items() if one.limit is not None]
    if limits:
        # What falls off in one filter does so in all; among those that do not, the highest tells most.
        ended = [item for item in limits if not item[0].bound]
        limit, name, one = min(ended, key=lambda i: i[0].value) if ended else max(limits, key=lambda i: i[0].value)
        counts = Estimate(limit.value + found.zero, limit.error, limit.bound)
        where = f" in {name}" if name else ""
        by = f"{one.exposure.size} exposure times{where}, within {PERCENT * TOLERANCE:g} %, if the lamp was constant"
        facts.append(_fact("linear up to", counts, "ADU", by, bool(limit.bound), "" if limit.bound else "linearity"))
    elif found.turn is not None:
        bound = Estimate(found.turn.value + found.zero, found.turn.error, "at most")
        facts.append(_fact("linear up to", bound, "ADU", "the variance of flats falls from there", True))
    return facts


def _dark(found: Measured) -> list[Fact]:
    facts = []
    for dark in found.darks:
        at = "" if dark.temperature is None else f" at {dark.temperature:.1f} °C"
        times = f"{dark.exposures[0]:g} s" if len(dark.exposures) == 1 else f"{len(dark.exposures)} exposure times"
        by = f"{dark.frames} dark(s) of {times} against the {found.zero_kind} frames"
        is_few = len(dark.exposures) == 1
        facts.append(_fact(f"dark current{at}", dark.rate, "ADU/s", by, is_few))
        if found.transfer is not None:
            facts.append(_fact(f"dark current{at}", dark.rate.times(found.transfer.gain), "e-/s", by, is_few))
    return facts


def _defects(found: Measured) -> list[Fact]:
    facts = []
    for name, count, frames, how in (
        ("hot pixels", found.hot, found.hot_frames, f"8 sigma above the others in {found.hot_exposure:g} s"),
        ("dead pixels", found.dead, found.dead_frames, "below half of those around"),
    ):
        if count is not None:
            share = PERCENT * count / found.pixels
            by = f"{share:.3g} % of {found.pixels}; {how}, in most of {frames} frame(s)"
            facts.append(Fact(name, float(count), sqrt(count), "pixels", "good" if frames >= FEW_PAIRS else "poor", by))
    return facts


def _lacking(found: Measured) -> list[str]:
    lacking = []
    frames = found.frames
    if found.zero_kind != "bias" or not frames["bias"]:
        lacking.append("bias frames: at least two, better ten, for read noise and the level without light")
    elif found.read is None:
        lacking.append("a second bias frame, for the read noise")
    if not frames["flat"]:
        lacking.append("flats: two of each level, of several levels, for gain, linearity, saturation and dead pixels")
    elif not found.flat_pairs:
        lacking.append("two flats of one filter, exposure time and level, for the gain")
    if frames["flat"] and not found.linearity:
        lacking.append(
            f"flats of a constant lamp with at least {FEWEST_EXPOSURES} exposure times, most of them below half of the "
            "brightest, for linearity"
        )
    if frames["flat"] and found.saturation is None:
        lacking.append("flats so long that they are saturated, for the saturation level")
    if not found.darks:
        lacking.append("darks of two exposure times, for the dark current and hot pixels")
    return lacking


def _doubts(found: Measured) -> list[str]:
    doubts = list(found.left_out)
    if found.step > 1:
        doubts.append(f"counts are multiples of {found.step}: the camera's own counts were scaled up")
    if found.read is not None:
        whole, neighbours = found.read.whole.value, found.read.checkers.value
        if whole > ROW_NOISE**2 * neighbours:
            doubts.append(
                f"rows or columns move together: the read noise of {sqrt(whole):.3g} ADU is {sqrt(neighbours):.3g} ADU "
                "between neighbouring pixels"
            )
        if sqrt(whole) < COARSE * found.step:
            doubts.append("the read noise is below the step of the counts: its value is uncertain by more than is said")
    if found.flat_pairs and found.read is not None and found.transfer is None:
        doubts.append("no gain: the flats' noise does not grow with their level as photon noise does")
    if found.transfer is not None and found.transfer.bend is None:
        doubts.append(
            "flats span less than a factor of 3 in level: bright pixels share charge, which may make the gain a few "
            "per cent too large; flats of more levels would tell"
        )
    for name, one in found.linearity.items():
        if one.limit is None:
            doubts.append(
                f"flats{f' in {name}' if name else ''} scatter by {PERCENT * one.scatter:.2g} % about a straight line "
                f"with exposure time (limit {PERCENT * STEADY:g} %): the light was not constant, or the camera is "
                "nowhere linear; no linearity by them"
            )
    for dark in found.darks:
        if dark.rate.value < -3.0 * dark.rate.error:
            doubts.append("dark current below zero: bias and darks do not belong together, or the level drifts")
    if found.hot_frames == 1:
        doubts.append("one dark of the longest exposure: cosmic rays are counted as hot pixels")
    return doubts


def _table(found: Measured, facts: list[Fact]) -> str:
    """TOML of `[instrument."NAME"]`; empty where nothing for it was measured."""
    lines = [f"{f.key} = {f.value:.5g}  # ± {f.error:.2g} {f.unit}, {f.sure}" for f in facts if f.key]
    if not lines:
        return ""
    camera = found.camera
    told = [f"binning {camera.binning}", camera.setting, camera.geometry]
    head = [f"[instrument.{_quoted(camera.instrument)}]"]
    telescope = escape(camera.telescope)
    if telescope and len(telescope) <= LONGEST_PATTERN:
        head.append(f"telescope = {_quoted(telescope)}")
    state = json.dumps(", ".join(part for part in told if part))[1:-1].replace("\x7f", "")
    return "\n".join([f"# Measured: {state}.", *head, *lines])


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _fact(name: str, one: Estimate, unit: str, by: str, is_few: bool, key: str = "") -> Fact:
    relative = one.error / abs(one.value) if one.value else float("inf")
    sure = "good" if relative <= GOOD and not is_few else "fair" if relative <= FAIR else "poor"
    return Fact(name, one.value, one.error, unit, sure, by, one.bound, key)


def _root(variance: Estimate, rounding: float) -> Estimate:
    """Noise of a variance without that of rounding."""
    rms = sqrt(max(variance.value - rounding, 0.0))
    return Estimate(rms, variance.error / (2.0 * rms) if rms else sqrt(variance.error))
