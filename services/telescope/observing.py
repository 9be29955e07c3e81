"""Taking one exposure: filter, pointing, camera, in this order, and the pixels out of it.

Nothing is left to the camera's next user: an exposure that is not finished here is aborted.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import numpy as np
from alpaca.camera import CameraStates
from numpy.typing import NDArray

from services.deployment import TelescopeDeployment
from services.errors import ConfigurationError, DataError, SurroundingsError, TianyuError, TransientError
from services.log import get_logger
from services.telescope.alpaca_devices import NO_ANSWER, asking, camera, filter_wheel, mount, name_of, told
from services.telescope.exposure import TakenExposure, WantedExposure
from services.telescope.pointing import apart_arcsec, as_mount_has_it

log = get_logger("telescope")
POLL_S = 0.1  # of devices that are at work
LOOK_S = 1.0  # between looks whether the exposure is still wanted
CONNECT_TIMEOUT_S = 60.0
SAME_PLACE_ARCSEC = 30.0  # a telescope that points there is not slewed: guiding and dithering keep what they have
ARRIVED_ARCSEC = 300.0  # from where it was sent; no mount is worse
SAME_EXPOSURE = 0.005  # relative, and seconds: what was asked for and what the camera says it did
EARLY_S, LATE_S = 0.1, 5.0  # by which an exposure may have begun before it was asked for (clocks), and behind it
TOLD_S = 1.0  # later than that is told
UNSIGNED_16 = 2**16 - 1

Check = Callable[[], None]  # raises where the exposure is not wanted any more


class UnwantedExposureError(TransientError):
    """The process is another attempt's by now, or cancelled."""


def take(devices: TelescopeDeployment, wanted: WantedExposure, still_wanted: Check, in_time: Check) -> TakenExposure:
    """Take one exposure.

    ``still_wanted`` is asked all the while, ``in_time`` before things that take long. What either raises ends it.

    Raises:
        ConfigurationError: the telescope has no such filter, binning, gain or exposure time, or no such device.
        SurroundingsError: a device does not answer, is not connected, parked, or at work for somebody else.
        TransientError: a device tells of an error, or is not done in time.
    """
    work = _Observing(devices, still_wanted)
    cam = camera(devices.camera)
    work.connect(cam)
    work.require_idle(cam)
    if wanted.filter is not None:
        in_time()
        work.turn_to(wanted.filter)
    if wanted.radec is not None and devices.mount is not None:
        in_time()
        work.point(wanted.radec)
    work.set_up(cam, wanted)
    in_time()
    return work.expose(cam, wanted)


class _Observing:
    def __init__(self, devices: TelescopeDeployment, still_wanted: Check) -> None:
        self._devices = devices
        self._still_wanted = still_wanted
        self._looked = -math.inf

    def _pause(self) -> None:
        time.sleep(POLL_S)
        if time.monotonic() - self._looked >= LOOK_S:
            self._looked = time.monotonic()
            self._still_wanted()

    def _until(self, done: Callable[[], bool], seconds: float, late: Callable[[], TianyuError]) -> None:
        """Wait until something is done; after so many seconds it is late."""
        end = time.monotonic() + seconds
        while not done():
            if time.monotonic() >= end:
                raise late()
            self._pause()

    def connect(self, device: Any) -> None:
        """Connect a device, where it is not."""
        name = name_of(device)
        with asking(device, "connect"):
            if device.Connected:
                return
            device.Connect()

            def late() -> TianyuError:
                return SurroundingsError(
                    f"{name} is not connected after {CONNECT_TIMEOUT_S:g} s: look at its cable and power"
                )

            self._until(lambda: not device.Connecting, CONNECT_TIMEOUT_S, late)
            if not device.Connected:
                raise late()

    def require_idle(self, cam: Any) -> None:
        """Whoever exposes now is left alone: another program, or an exposure that a killed consumer left behind."""
        with asking(cam, "tell its state"):
            state = CameraStates(cam.CameraState)
        if state not in (CameraStates.cameraIdle, CameraStates.cameraError):
            raise SurroundingsError(
                f"{name_of(cam)} is at work for somebody else ({state.name}): another program uses it, or a consumer "
                "was killed in an exposure, which goes on; it is waited for"
            )

    def turn_to(self, name: str) -> None:
        """Turn the filter wheel to a filter by its name."""
        address = self._devices.filter_wheel
        if address is None:
            raise ConfigurationError(
                f"filter {name!r} cannot be chosen, this telescope has no filter wheel: leave the filter out of the "
                "plan, or name the wheel (filter_wheel under [telescope] of the settings)"
            )
        wheel = filter_wheel(address)
        self.connect(wheel)
        with asking(wheel, f"turn to filter {name!r}"):
            names = [str(one) for one in wheel.Names]
            if names.count(name) != 1:
                there = ", ".join(map(repr, names))
                many = "has no" if name not in names else "has more than one"
                raise ConfigurationError(
                    f"{name_of(wheel)} {many} filter {name!r}, expected one of {there}: correct the plan"
                )
            if wheel.Position == names.index(name):
                return
            wheel.Position = names.index(name)

            def late() -> TianyuError:
                return TransientError(
                    f"{name_of(wheel)} has not turned to filter {name!r} within {self._devices.wheel_timeout_s:g} s"
                )

            self._until(lambda: wheel.Position == names.index(name), self._devices.wheel_timeout_s, late)

    def point(self, radec: tuple[float, float]) -> None:
        """Slew to a place (ICRS, degrees), where the telescope does not point there, and let it settle."""
        assert self._devices.mount is not None
        scope = mount(self._devices.mount)
        self.connect(scope)
        with asking(scope, "point to {:.4f}, {:+.4f}".format(*radec)):
            try:
                there = as_mount_has_it(radec, int(scope.EquatorialSystem), datetime.now(UTC))
            except ValueError as error:
                raise ConfigurationError(f"{name_of(scope)} counts by {error}: set it to one of these") from error

            def apart() -> float:
                return apart_arcsec((scope.RightAscension * 15.0, scope.Declination), there)

            if told(scope, lambda: scope.CanSetTracking, "tell whether it tracks") and not scope.Tracking:
                scope.Tracking = True
            if not scope.Slewing and apart() < SAME_PLACE_ARCSEC:
                return
            log.info("slewing", ra_deg=round(radec[0], 4), dec_deg=round(radec[1], 4))
            scope.SlewToCoordinatesAsync(there[0] / 15.0, there[1])

            def late() -> TianyuError:
                return TransientError(f"{name_of(scope)} slews for more than {self._devices.slew_timeout_s:g} s")

            try:
                self._until(lambda: not scope.Slewing, self._devices.slew_timeout_s, late)
            except BaseException:
                with suppress(Exception):
                    scope.AbortSlew()
                raise
            if (off := apart()) > ARRIVED_ARCSEC:
                raise TransientError(f"{name_of(scope)} has stopped {off:.0f} arcsec from where it was sent")
        end = time.monotonic() + self._devices.settle_s
        while time.monotonic() < end:
            self._pause()

    def set_up(self, cam: Any, wanted: WantedExposure) -> None:
        """Binning, the whole detector, and gain."""
        with asking(cam, f"bin by {wanted.binning}"):
            cam.BinX = wanted.binning
            cam.BinY = wanted.binning
            cam.StartX = cam.StartY = 0
            cam.NumX = cam.CameraXSize // wanted.binning
            cam.NumY = cam.CameraYSize // wanted.binning
        if wanted.gain is not None:
            with asking(cam, f"set its gain to {wanted.gain}"):
                cam.Gain = wanted.gain
        longest = told(cam, lambda: cam.ExposureMax, "tell its longest exposure") or math.inf
        shortest = told(cam, lambda: cam.ExposureMin, "tell its shortest exposure") or 0.0
        if not shortest <= wanted.exposure_s <= longest and wanted.kind != "bias":
            raise ConfigurationError(
                f"{name_of(cam)} exposes for {shortest:g} to {longest:g} s, not {wanted.exposure_s:g}: correct the plan"
            )

    def expose(self, cam: Any, wanted: WantedExposure) -> TakenExposure:
        """Expose, wait, and read out; what does not end well is aborted."""
        name, exposure_s = name_of(cam), wanted.exposure_s
        if wanted.kind == "bias":
            exposure_s = told(cam, lambda: cam.ExposureMin, "tell its shortest exposure") or 0.0
        before = datetime.now(UTC)
        with asking(cam, f"expose for {exposure_s:g} s"):
            _start_exposure(cam, exposure_s, wanted.opens_shutter)
        with _aborted_unless_done(cam), asking(cam, f"give the image of {exposure_s:g} s"):
            began = datetime.now(UTC)

            def is_ready() -> bool:
                if cam.ImageReady:
                    return True
                if cam.CameraState == CameraStates.cameraError:
                    raise TransientError(f"{name} tells of an error in the exposure of {exposure_s:g} s, and not which")
                return False

            def late() -> TianyuError:
                return TransientError(
                    f"{name} gave no image {self._devices.readout_timeout_s:g} s after an exposure of {exposure_s:g} s"
                )

            self._until(is_ready, exposure_s + self._devices.readout_timeout_s, late)
            pixels = pixels_of(cam.ImageArray, name)
        notes: list[str] = []
        start = _start(told(cam, lambda: cam.LastExposureStartTime, "tell when it began"), before, began, notes)
        said_s = _finite(told(cam, lambda: cam.LastExposureDuration, "tell how long it exposed"))
        took_s = exposure_s if said_s is None else said_s
        if abs(took_s - exposure_s) > SAME_EXPOSURE * (1.0 + exposure_s):
            raise TransientError(f"{name} exposed for {took_s:g} s, {exposure_s:g} s were asked for: who stopped it?")
        expected = (cam.NumY, cam.NumX)
        if pixels.shape != expected:
            raise TransientError(f"{name} gave {pixels.shape[::-1]} pixels, {expected[::-1]} were asked for (x, y)")
        return TakenExposure(
            pixels,
            start,
            took_s,
            electrons_per_adu=_positive(told(cam, lambda: cam.ElectronsPerADU, "tell electrons per ADU")),
            saturation_adu=_positive(told(cam, lambda: cam.MaxADU, "tell its largest count")),
            temperature_c=_finite(told(cam, lambda: cam.CCDTemperature, "tell its temperature")),
            pixel_size_um=_binned(told(cam, lambda: cam.PixelSizeX, "tell the size of its pixels"), wanted.binning),
            gain=wanted.gain if wanted.gain is not None else _whole(told(cam, lambda: cam.Gain, "tell its gain")),
            offset=_whole(told(cam, lambda: cam.Offset, "tell its offset")),
            notes=notes,
        )


@contextmanager
def _aborted_unless_done(cam: Any) -> Iterator[None]:
    """Abort the exposure that is begun within, where it does not come to its end; but not one of another attempt."""
    try:
        yield
    except UnwantedExposureError:
        raise
    except BaseException:
        _abort(cam)
        raise


def _start_exposure(cam: Any, exposure_s: float, light: bool) -> None:
    """Begin; where the answer is lost, the camera may have begun."""
    try:
        cam.StartExposure(exposure_s, light)
    except NO_ANSWER:
        _abort(cam)
        raise


def _abort(cam: Any) -> None:
    with suppress(Exception):  # the first error counts
        if cam.CanAbortExposure:
            cam.AbortExposure()


def pixels_of(image: Any, name: str) -> NDArray[Any]:
    """[ny, nx] of an image as Alpaca has it, [x][y]: unsigned 16 bit where all counts fit, else signed 32, or floats.

    Raises:
        DataError: it is no image of one plane.
    """
    values = np.array(image)
    if values.ndim != 2 or not values.size:
        raise DataError(
            f"{name} gave an array of shape {values.shape}, expected one plane of x and y: set it to raw counts"
        )
    if np.issubdtype(values.dtype, np.floating):
        return np.ascontiguousarray(values.T, dtype=np.float32)
    small = values.min() >= 0 and values.max() <= UNSIGNED_16
    return np.ascontiguousarray(values.T, dtype=np.uint16 if small else np.int32)


def _start(written: str | None, before: datetime, began: datetime, notes: list[str]) -> datetime:
    """When the exposure began: when it was asked for, or later where the camera says so and can be right.

    Its clock cannot be where it says that the exposure began before it was asked for. One that counts whole seconds
    says less than this computer knows.

    Args:
        written: by the camera, UTC.
        before: just before it was asked.
        began: when it had answered.
    """
    try:
        camera_says = None if not written else datetime.fromisoformat(str(written))
    except ValueError:
        camera_says = None
    if camera_says is None:
        return before
    camera_says = camera_says.replace(tzinfo=UTC) if camera_says.tzinfo is None else camera_says.astimezone(UTC)
    whole_s = 0.0 if camera_says.microsecond else 1.0
    early_s, late_s = (before - camera_says).total_seconds(), (camera_says - began).total_seconds()
    says = (
        f"the camera says that the exposure began at {camera_says:%Y-%m-%dT%H:%M:%S}, it was asked at {before:%H:%M:%S}"
    )
    if early_s > EARLY_S + whole_s or late_s > LATE_S:
        notes.append(f"{says} by the computer's clock: that is taken")
        return before
    if whole_s:
        return before
    if late_s > TOLD_S:
        notes.append(f"{says}: the camera's time is taken")
    return camera_says


def _finite(value: Any) -> float | None:
    """A number as cards may have it; devices send words and NaN too."""
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _positive(value: Any) -> float | None:
    number = _finite(value)
    return number if number is not None and number > 0 else None


def _whole(value: Any) -> int | None:
    number = _finite(value)
    return None if number is None else int(number)


def _binned(size_um: float | None, binning: int) -> float | None:
    size_um = _positive(size_um)
    return None if size_um is None else size_um * binning
