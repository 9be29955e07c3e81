"""SODA 1.0, synchronous: an image, or the part of it that a region of the sky holds, as FITS."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from itertools import chain
from math import inf

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from pipeline.sky.regions import Circle, Polygon, Range, Region, pixels_of
from services.errors import TianyuError
from services.log import get_logger
from services.results.cutouts import Cutout
from services.vo.adql.polygons import polygon
from services.vo.identifiers import IMAGE, named
from services.vo.site_images import SiteImage, SiteImages
from services.vo.tap_routes import TapService
from services.vo.vo_errors import BusyServiceError, NotFoundError, RefusedError
from services.vo.vo_requests import CUTOUTS_PATH, FORM_BYTES, PartsResponse, parameters_of, told

MEDIA_TYPE = "application/fits"
NO_CONTENT = 204
NUMBERS_MOST = 400  # of one region
REGIONS = ("CIRCLE", "POLYGON", "POS")
log = get_logger("vo")


def _numbers(name: str, words: str) -> list[float]:
    parts = words.replace(",", " ").split()
    try:
        numbers = [float(one) for one in parts[:NUMBERS_MOST]]
    except ValueError as error:
        raise RefusedError(f"{name} is {words[:60]!r}: expected numbers with blanks between them") from error
    if len(parts) > NUMBERS_MOST or any(number != number for number in numbers):
        raise RefusedError(f"{name} has {len(parts)} numbers, or one that is none: expected at most {NUMBERS_MOST}")
    return numbers


def _place(name: str, ra: float, dec: float) -> tuple[float, float]:
    if not (-360.0 <= ra <= 360.0 and -90.0 <= dec <= 90.0):
        raise RefusedError(f"{name} names the place {ra:g} {dec:g}: expected degrees, declinations of -90 to 90")
    return ra % 360.0, dec


def _circle(name: str, words: str) -> Region:
    numbers = _numbers(name, words)
    if len(numbers) != 3 or not 0.0 <= numbers[2] <= 180.0:
        raise RefusedError(f"{name} is {words[:60]!r}: expected RA DEC RADIUS, degrees")
    return Circle(*_place(name, *numbers[:2]), numbers[2])


def _polygon(name: str, words: str) -> Region:
    numbers = _numbers(name, words)
    if len(numbers) < 6 or len(numbers) % 2:
        raise RefusedError(f"{name} has {len(numbers)} numbers: expected three pairs of degrees or more")
    places = [_place(name, *pair) for pair in zip(numbers[::2], numbers[1::2], strict=True)]
    polygon(places)  # refuses what is no polygon
    return Polygon(tuple(places))


def _range(name: str, words: str) -> Region:
    numbers = _numbers(name, words)
    if len(numbers) != 4:
        raise RefusedError(f"{name} is {words[:60]!r}: expected RANGE RA1 RA2 DEC1 DEC2, degrees")
    ra = (0.0, 360.0) if -inf in numbers[:2] or inf in numbers[:2] else (numbers[0], numbers[1])
    dec = max(numbers[2], -90.0), min(numbers[3], 90.0)
    if dec[0] > dec[1] or not all(-360.0 <= one <= 360.0 for one in ra):
        raise RefusedError(f"{name} is {words[:60]!r}: expected right ascensions, and declinations in increasing order")
    return Range(ra, dec)


_SHAPES: Mapping[str, Callable[[str, str], Region]] = {"CIRCLE": _circle, "POLYGON": _polygon, "RANGE": _range}


def region_of(parameters: Mapping[str, list[str]]) -> Region | None:
    """The region that is asked for; None: all of the image.

    Raises:
        RefusedError: there are several, or it cannot be read.
    """
    asked = [(name, value) for name in REGIONS for value in parameters.get(name, [])]
    if len(asked) > 1:
        raise RefusedError(f"{len(asked)} regions are asked for: expected one (MultiValuedParamNotSupported)")
    if not asked:
        return None
    [(name, words)] = asked
    if name == "POS":
        shape, _, words = words.strip().partition(" ")
        if shape.upper() not in _SHAPES:
            raise RefusedError(f"POS begins with {shape[:30]!r}: expected {', '.join(_SHAPES)}")
        return _SHAPES[shape.upper()](name, words)
    return _SHAPES[name](name, words)


class Cutouts:
    """Answers about images of this site."""

    def __init__(self, tap: TapService, images: SiteImages) -> None:
        self._tap, self._images = tap, images

    @told
    async def sync(self, request: Request) -> Response:
        """One image, or a part of it; nothing (204) where it shows nothing of the region."""
        parameters, _ = await parameters_of(request, FORM_BYTES)
        try:
            return await self._cut(parameters)
        except BusyServiceError:
            raise
        except NotFoundError as error:
            return PlainTextResponse(f"NotFoundFault: {error}\n", 404)
        except RefusedError as error:
            kind = "MultiValuedParamNotSupported" if "MultiValuedParam" in str(error) else "UsageFault"
            return PlainTextResponse(f"{kind}: {error}\n", 400)

    async def _cut(self, parameters: Mapping[str, list[str]]) -> Response:
        wanted, region = parameters.get("ID", []), region_of(parameters)
        if len(wanted) != 1:
            raise RefusedError(f"{len(wanted)} images are asked for: expected one ID (MultiValuedParamNotSupported)")
        name = named(wanted[0])
        if name is None or name.kind != IMAGE:
            raise NotFoundError(f"there is no image {wanted[0][:60]!r}: expected an obs_publisher_did of ivoa.obscore")
        turns = self._tap.turns
        await turns.take()
        try:
            cutout = await turns.run(self._found, name.number, region)
            if cutout is None:
                turns.give()
                return Response(status_code=NO_CONTENT)
            parts = cutout.parts(self._images.store)
            first = await turns.run(self._first, parts, name.number)
        except BaseException:
            turns.give()
            raise
        return PartsResponse(chain([first], parts), MEDIA_TYPE, ExitStack(), turns, f"image-{name.number}.fits")

    def _found(self, number: int, region: Region | None) -> Cutout | None:
        image = self._images.find([number])[number]
        if isinstance(image, str):
            raise NotFoundError(image)
        return cut(image, region)

    @staticmethod
    def _first(parts: Iterator[bytes], number: int) -> bytes:
        """The header; what is wrong with a file goes to the log, as it names places of this machine."""
        try:
            return next(parts)
        except TianyuError as error:
            log.error("an image cannot be read", image_id=number, error=str(error))
            raise NotFoundError(f"the file of image {number} cannot be read; the service's log says why") from error


def cut(image: SiteImage, region: Region | None) -> Cutout | None:
    """The part of an image that holds a region; None where it shows nothing of it.

    Raises:
        RefusedError: nobody knows where the image lies on the sky.
    """
    if region is None:
        box = slice(0, image.shape[0]), slice(0, image.shape[1])
        return Cutout(image.image_id, image.path, box, image.wcs)
    if image.wcs is None:
        raise RefusedError(f"image {image.image_id} has no coordinates on the sky: only all of it can be had")
    found = pixels_of(region, image.wcs, image.shape)
    return None if found is None else Cutout(image.image_id, image.path, found, image.wcs)


def cutout_routes(tap: TapService, images: SiteImages) -> list[BaseRoute]:
    """The address `/soda/sync`."""
    return [Route(CUTOUTS_PATH, Cutouts(tap, images).sync, methods=["GET", "POST"])]
