"""What the calibration frames of a folder tell of their cameras: read frame by frame, two in memory at a time."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.detector.box_noise import box_pairs
from pipeline.detector.calibration import guess_saturation
from pipeline.detector.linearity import Linearity, dark_rate, linearity
from pipeline.detector.photon_transfer import (
    Boxes,
    Estimate,
    ReadVariance,
    Transfer,
    curve,
    fit_transfer,
    full_level,
    read_variance,
    step_of,
    together,
    turn_over,
)
from pipeline.detector.pixel_defects import Defects
from pipeline.detector.readout import RawPixels
from pipeline.statistics import MAD_TO_SIGMA
from services.errors import DataError
from services.frame_bounds import FrameBounds
from services.image_store import LocalImageStore
from services.ingest.grouping import TEMPERATURE_GAP_C, group
from services.ingest.headers import FrameFacts
from services.ingest.raw_folder import Folder
from services.steps.shared.raw_frames import pixels_of

KINDS = ("bias", "dark", "flat")
SAMPLE_PX = 1 << 20  # of a frame that tell its level
LIKE_LEVEL = 1.5  # ratio of two flats of a pair
CLIP_SIGMA = 4.0
LEAST_FLAT_ADU = 100.0  # above the bias, of flats that tell dead pixels
AS_HIGH = 0.98  # of the highest counts of all flats, which a level of saturation has to reach
HISTOGRAM_PX = 1 << 18

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Camera:
    """Frames that share camera, binning, setting and read-out."""

    instrument: str
    telescope: str
    binning: str
    setting: str
    geometry: str


@dataclass
class DarkCurrent:
    """At one temperature (°C; None: not told); rate in ADU a second, of a usual pixel."""

    temperature: float | None
    rate: Estimate
    exposures: list[float]
    frames: int


@dataclass
class Measured:
    """All that is told of one camera; None where it is not."""

    camera: Camera
    frames: dict[str, int] = field(default_factory=dict)
    pixels: int = 0
    zero: float = float("nan")  # counts without light, ADU
    zero_kind: str = "bias"
    step: int = 1  # ADU between possible counts
    read: ReadVariance | None = None
    bias_pairs: int = 0
    flat_pairs: int = 0
    boxes: Boxes = field(default_factory=lambda: Boxes(np.empty(0), np.empty(0), np.empty(0)))
    transfer: Transfer | None = None
    curve: tuple[NDArray[np.float64], NDArray[np.float64]] = (np.empty(0), np.empty(0))
    turn: Estimate | None = None  # ADU above zero
    saturation: Estimate | None = None  # ADU, as counted
    saturation_by: str = ""
    highest: float = float("nan")  # of all counts of flats
    linearity: dict[str, Linearity] = field(default_factory=dict)  # by filter
    darks: list[DarkCurrent] = field(default_factory=list)
    hot: int | None = None
    hot_frames: int = 0
    hot_exposure: float = 0.0
    dead: int | None = None
    dead_frames: int = 0
    dark_signal: NDArray[np.float32] | None = None  # ADU above zero, a sample of the longest dark
    left_out: list[str] = field(default_factory=list)  # frames, and why


def cameras_of(folder: Folder) -> dict[Camera, dict[str, list[FrameFacts]]]:
    """Calibration frames by camera and kind, as ingest groups them; what was reduced before is left out.

    Raises:
        DataError: there are none.
    """
    wanted = [
        frame
        for frame in folder.frames
        if frame.kind in KINDS and not frame.reduced and frame.path not in folder.duplicates
    ]
    found: dict[Camera, dict[str, list[FrameFacts]]] = defaultdict(lambda: defaultdict(list))
    for key, frames in group(wanted).items():
        camera = Camera(key.instrument, key.telescope, key.binning, frames[0].setting, key.geometry)
        found[camera][key.kind] += frames
    if not found:
        raise DataError(
            f"none of {len(folder.frames)} frames is a raw bias, dark or flat frame: expected IMAGETYP to say "
            "which is; `patterns` of the settings tells kinds by names of files"
        )
    return {camera: dict(kinds) for camera, kinds in found.items()}


def measure(
    camera: Camera, frames: dict[str, list[FrameFacts]], bounds: FrameBounds, progress: Progress | None = None
) -> Measured:
    """Measure one camera; a frame that cannot be read is left out and named in ``left_out``."""
    return _Measuring(camera, frames, bounds, progress).run()


class _Measuring:
    def __init__(
        self, camera: Camera, frames: dict[str, list[FrameFacts]], bounds: FrameBounds, progress: Progress | None
    ) -> None:
        self._found = Measured(camera, {kind: len(frames.get(kind, ())) for kind in KINDS})
        self._frames = frames
        self._store = LocalImageStore(Path("/"), bounds)
        self._progress = progress
        self._done = 0
        self._bias: NDArray[np.float32] | None = None
        self._levels: list[float] = []  # of frames of no exposure, ADU above their mean
        self._full: list[float] = []

    def run(self) -> Measured:
        found = self._found
        zeros = self._zeros()
        self._read_zeros(zeros)
        if self._bias is not None:
            self._read_darks([frame for frame in self._frames.get("dark", ()) if frame not in zeros])
            self._read_flats(self._frames.get("flat", []))
        if self._full:
            found.saturation, found.saturation_by = Estimate(min(self._full), found.step / 2.0), "pixels pile up there"
        elif found.turn is not None:
            found.saturation = Estimate(found.turn.value + found.zero, found.turn.error)
            found.saturation_by = "the variance of flats falls from there"
        return found

    def _zeros(self) -> list[FrameFacts]:
        """Bias frames; without any the shortest darks."""
        bias = self._frames.get("bias", [])
        darks = self._frames.get("dark", [])
        if bias or not darks:
            return bias
        shortest = min(frame.exposure for frame in darks)
        self._found.zero_kind = f"dark of {shortest:g} s"
        return [frame for frame in darks if frame.exposure <= shortest * 1.005]

    def _read_zeros(self, frames: Sequence[FrameFacts]) -> None:
        found, total, before = self._found, None, None
        reads: list[ReadVariance] = []
        counts: list[float] = []
        for _, raw in self._each(frames):
            signal = np.asarray(raw.signal(), dtype=np.float32)
            total = signal.astype(np.float64) if total is None else total + signal
            if not counts:
                found.step = step_of(raw.counts)
            counts.append(float(np.median(_sample(raw.counts))))
            self._levels.append(_level(signal))
            if before is None:
                before = signal
                continue
            pair = read_variance(before, signal, found.step)
            before = None  # each frame in one pair: they are independent
            if pair is not None:
                reads.append(pair)
        if total is None:
            return
        self._bias = np.asarray(total / len(counts), dtype=np.float32)
        found.zero, found.pixels = float(np.mean(counts)), self._bias.size
        self._levels = [level - float(np.mean(self._levels)) for level in self._levels]
        found.bias_pairs = len(reads)
        if reads:
            found.read = ReadVariance(together([one.whole for one in reads]), together([one.checkers for one in reads]))

    def _read_darks(self, frames: Sequence[FrameFacts]) -> None:
        found, hot = self._found, Defects()
        longest = max((frame.exposure for frame in frames), default=0.0)
        for warmth in _by_temperature(frames):
            exposures, levels = [], []
            for frame, raw in self._each(warmth):
                signal = raw.signal() - self._bias
                exposures.append(frame.exposure)
                levels.append(_level(signal))
                if frame.exposure >= longest * 0.995:
                    hot.add_dark(signal)
                    if found.dark_signal is None:
                        found.dark_signal = np.asarray(_sample(signal, HISTOGRAM_PX), dtype=np.float32)
            is_bias = found.zero_kind == "bias"
            zero_time = 0.0 if is_bias else min(frame.exposure for frame in self._frames["dark"])
            times = np.array([zero_time] * len(self._levels) + exposures)
            rate = dark_rate(times, np.array(self._levels + levels)) if exposures else None
            if rate is not None:
                told = [frame.temperature for frame in warmth if frame.temperature is not None]
                temperature = float(np.median(told)) if told else None
                found.darks.append(DarkCurrent(temperature, rate, sorted(set(exposures)), len(exposures)))
        mask = hot.mask()
        if mask is not None:
            found.hot, found.hot_frames, found.hot_exposure = int(mask.sum()), hot.frames, longest

    def _read_flats(self, frames: Sequence[FrameFacts]) -> None:
        found, dead, pairs = self._found, Defects(), []
        steady: dict[str, list[tuple[float, float]]] = defaultdict(list)
        runs: dict[tuple[str, float], list[FrameFacts]] = defaultdict(list)
        for frame in frames:
            runs[frame.filter or "", float(f"{frame.exposure:.3g}")].append(frame)
        for (name, _), run in sorted(runs.items()):
            before: tuple[NDArray[Any], float] | None = None
            for frame, raw in self._each(run):
                is_full = self._note_full(raw)
                signal = np.asarray(raw.signal() - self._bias, dtype=np.float32)
                level = _level(signal)
                found.highest = float(np.nanmax([found.highest, np.percentile(_sample(raw.counts), 99.9)]))
                if not is_full:
                    steady[name].append((frame.exposure, level))
                    if level > LEAST_FLAT_ADU:
                        dead.add_flat(signal)
                if before is not None and 1.0 / LIKE_LEVEL < level / max(before[1], 1e-9) < LIKE_LEVEL:
                    pairs.append(box_pairs(before[0], signal))
                    before = None  # each flat in one pair: they are independent
                else:
                    before = signal, level
        # Odd pixels may pile up where others go on.
        self._full = [level for level in self._full if level >= AS_HIGH * found.highest]
        mask = dead.mask()
        if mask is not None:
            found.dead, found.dead_frames = int(mask.sum()), dead.frames
        for name, points in steady.items():
            times, levels = (np.array(column) for column in zip(*points, strict=True))
            if (result := linearity(times, levels)) is not None:
                found.linearity[name] = result
        found.flat_pairs = len(pairs)
        if not pairs or found.read is None:
            return
        a, b, variance = (np.concatenate(column) for column in zip(*pairs, strict=True))
        found.boxes = Boxes(a, a / b, variance)
        found.curve = curve(found.boxes, found.read.checkers.value)
        found.turn = turn_over(*found.curve)
        ceilings = [level - found.zero for level in self._full] + ([found.turn.value] if found.turn else [])
        found.transfer = fit_transfer(found.boxes, found.read.checkers, min(ceilings, default=None))

    def _note_full(self, raw: RawPixels) -> bool:
        """Whether the frame shows where pixels are full at all; keeps the level."""
        whole = full_level(raw.counts, self._found.zero)
        told = whole if whole is not None else guess_saturation(raw.counts)
        if told is not None:
            self._full.append(told)
        return told is not None

    def _each(self, frames: Sequence[FrameFacts]) -> Iterator[tuple[FrameFacts, RawPixels]]:
        for frame in frames:
            self._done += 1
            if self._progress is not None:
                self._progress(self._done, sum(self._found.frames.values()))
            try:
                readout = None if frame.read is None else frame.read.readout
                raw = pixels_of(self._store, str(frame.path.absolute()), readout, frame.shape)
                if self._bias is not None and raw.counts.shape != self._bias.shape:
                    raise DataError(f"frame {str(frame.path)!r} is of another size than the camera's bias frames")
            except DataError as error:
                self._found.left_out.append(str(error))
                continue
            yield frame, raw


def _sample(image: NDArray[Any], pixels: int = SAMPLE_PX) -> NDArray[Any]:
    """Real[n] of evenly spaced rows, without NaN."""
    found = image[:: max(1, image.size // pixels)].ravel()
    return np.asarray(found[np.isfinite(found)])


def _level(signal: NDArray[Any]) -> float:
    """Mean without hot pixels and cosmic rays, ADU."""
    values = np.asarray(_sample(signal), dtype=np.float64)
    centre = np.median(values)
    sigma = max(MAD_TO_SIGMA * float(np.median(np.abs(values - centre))), 0.5)
    return float(values[np.abs(values - centre) <= CLIP_SIGMA * sigma].mean())


def _by_temperature(frames: Sequence[FrameFacts]) -> list[list[FrameFacts]]:
    """Darks apart where temperatures leave a gap; those that tell none together."""
    told = sorted((f for f in frames if f.temperature is not None), key=lambda f: f.temperature or 0.0)
    cuts = [
        n
        for n, (a, b) in enumerate(pairwise(told), start=1)
        if (b.temperature or 0.0) - (a.temperature or 0.0) > TEMPERATURE_GAP_C
    ]
    parts = [told[a:b] for a, b in pairwise([0, *cuts, len(told)])]
    untold = [frame for frame in frames if frame.temperature is None]
    return [part for part in (*parts, untold) if part]
