"""DataLink 1.1: the files, pages and services of a star, of one of its light curves, or of an image."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from services.vo.answer_columns import Chunk
from services.vo.fields import LINKS_TYPE, Field, Kind
from services.vo.identifiers import CURVE, IMAGE, STAR, Named, did, named
from services.vo.site_images import SiteImage, SiteImages, StarImages
from services.vo.tap_routes import TapService
from services.vo.vo_errors import RefusedError
from services.vo.vo_requests import CUTOUTS_PATH, FORM_BYTES, LINKS_PATH, PartsResponse, base_url, parameters_of, told
from services.vo.writing.row_writers import TableData, written
from services.vo.writing.votable_words import LINKS, MEDIA_TYPE, around, cutouts

IDS_MOST = 1000
ROWS_MOST = 20_000  # of one answer; names that have no room in it are to be asked again, as the standard says
FITS = "application/fits"
STAR_CUTOUT_DEG = 0.025  # radius, of an image about a star
FIELDS = (
    Field("ID", Kind.TEXT, "what the links are of", ucd="meta.id;meta.main"),
    Field("access_url", Kind.CHAR, "address of the file or page", ucd="meta.ref.url"),
    Field("service_def", Kind.CHAR, "description of a service", ucd="meta.ref"),
    Field("error_message", Kind.TEXT, "why there is none", ucd="meta.code.error"),
    Field("semantics", Kind.CHAR, "what it is to it", ucd="meta.code"),
    Field("description", Kind.TEXT, "what it is", ucd="meta.note"),
    Field("content_type", Kind.CHAR, "media type", ucd="meta.code.mime"),
    Field("content_length", Kind.LONG, "bytes", "byte", "phys.size;meta.file"),
)
# Of a star, below its page: suffix, media type.
FILES = (("vot", MEDIA_TYPE), ("fits", FITS), ("csv", "text/csv"))
Row = tuple[Any, ...]


def _file(wanted: str, address: str, semantics: str, words: str, media_type: str, size: int | None = None) -> Row:
    return wanted, address, None, None, semantics, words, media_type, size


def not_found(wanted: str, words: str) -> Row:
    """What is said of what there is not."""
    return wanted, None, None, f"NotFoundFault: {words}", "#this", None, None, None


def image_file(base: str, image_id: int) -> str:
    """Where all of an image is."""
    return f"{base}{CUTOUTS_PATH}?ID={quote(did(IMAGE, image_id), safe='')}"


def rows_of_star(wanted: str, number: int, star: StarImages | None, base: str) -> list[Row]:
    """Links of a star: its light curves, its page, and templates that show it."""
    if star is None:
        return [not_found(wanted, f"there is no star {wanted[:40]!r}")]
    page = f"{base}/star/{number}"
    rows = [_file(wanted, page, "#auxiliary", "page of the star", "text/html")]
    if not star.templates:
        return rows
    whole = "light curves of all nights, in the best aperture of each"
    curves = [_file(wanted, f"{page}/curve.{suffix}", "#this", whole, kind) for suffix, kind in FILES]
    for observation_id, image_id in star.templates.items():
        if not image_id:
            continue
        night, address = f"observation {observation_id}", image_file(base, image_id)
        rows.append(_file(wanted, address, "#progenitor", f"stacked image of {night}, on which it was found", FITS))
        if star.place is not None:
            circle = quote(f"{star.place[0]!r} {star.place[1]!r} {STAR_CUTOUT_DEG}")
            words = f"part of the stacked image of {night} about the star"
            rows.append(_file(wanted, f"{address}&CIRCLE={circle}", "#cutout", words, FITS))
    return [*curves, *rows]


def rows_of_curve(wanted: str, name: Named, star: StarImages | None, base: str) -> list[Row]:
    """Links of a star's light curve in one observation."""
    if star is None or name.observation not in star.templates:
        return [not_found(wanted, f"there is no light curve {wanted[:80]!r}")]
    page, chosen = f"{base}/star/{name.number}", f"?observation={name.observation}"
    words = f"light curve of observation {name.observation}, in the best aperture"
    curves = [_file(wanted, f"{page}/curve.{suffix}{chosen}", "#this", words, kind) for suffix, kind in FILES]
    image_id = star.templates[name.observation]
    if image_id:
        curves.append(
            _file(wanted, image_file(base, image_id), "#progenitor", "stacked image on which it was found", FITS)
        )
    return [*curves, _file(wanted, page, "#auxiliary", "page of the star", "text/html")]


def rows_of_image(wanted: str, image: SiteImage | str, base: str) -> list[Row]:
    """Links of an image: all of it, parts of it, and its page."""
    if isinstance(image, str):
        return [not_found(wanted, image)]
    size = 4 * image.shape[0] * image.shape[1]
    what = "the stacked image" if image.is_template else "the calibrated image"
    rows = [_file(wanted, image_file(base, image.image_id), "#this", what, FITS, size)]
    if image.wcs is not None:
        rows.append((wanted, None, f"soda-{image.image_id}", None, "#cutout", f"parts of {what}", FITS, None))
    page = f"observation/{image.observation_id}/field" if image.is_template else f"frame/{image.image_id}"
    return [*rows, _file(wanted, f"{base}/{page}", "#auxiliary", "page of the image", "text/html")]


class Links:
    """Answers by the database of TAP."""

    def __init__(self, tap: TapService, images: SiteImages) -> None:
        self._tap, self._images = tap, images

    @told
    async def links(self, request: Request) -> Response:
        """Links of what the parameters ID name."""
        parameters, _ = await parameters_of(request, FORM_BYTES)
        wanted = parameters.get("ID", [])
        if len(wanted) > IDS_MOST:
            raise RefusedError(f"{len(wanted)} names are asked for: expected at most {IDS_MOST}")
        base, turns = base_url(request), self._tap.turns
        await turns.take()
        try:
            rows, services, is_cut = await turns.run(self._rows, wanted, base)
        except BaseException:
            turns.give()
            raise
        facts = {"standardID": LINKS, "service_protocol": LINKS}
        most = len(rows) - 1 if is_cut else len(rows)  # the last one is left out, and so it is told that there are more
        parts: Iterator[bytes] = written(
            TableData(FIELDS, around(FIELDS, facts, services=services)),
            iter([Chunk.of_rows(FIELDS, rows)]),
            most,
            len(rows) * 10**6,
        )
        return PartsResponse(parts, LINKS_TYPE, ExitStack(), turns, "links.vot")

    def _rows(self, wanted: Sequence[str], base: str) -> tuple[list[Row], str, bool]:
        """Rows name by name, descriptions of services, and whether some had no room: then a last row is too many."""
        names = [(one, named(one)) for one in wanted]
        stars = self._images.of_stars([name.number for _, name in names if name is not None and name.kind != IMAGE])
        images = self._images.find([name.number for _, name in names if name is not None and name.kind == IMAGE])
        rows: list[Row] = []
        services: dict[int, str] = {}
        for one, name in names:
            if name is None:
                more = [not_found(one, f"there is no star and no data set {one[:40]!r}")]
            elif name.kind == IMAGE:
                image = images[name.number]
                more = rows_of_image(one, image, base)
                if not isinstance(image, str) and image.circle is not None:
                    services[image.image_id] = cutouts(
                        f"soda-{image.image_id}", f"{base}{CUTOUTS_PATH}", did(IMAGE, image.image_id), image.circle
                    )
            elif name.kind == CURVE:
                more = rows_of_curve(one, name, stars.get(name.number), base)
            else:
                assert name.kind == STAR
                more = rows_of_star(one, name.number, stars.get(name.number), base)
            if rows and len(rows) + len(more) > ROWS_MOST:
                return [*rows, more[0]], "".join(services.values()), True
            rows += more
        return rows, "".join(services.values()), False


def link_routes(tap: TapService, images: SiteImages) -> list[BaseRoute]:
    """The address `/datalink`."""
    return [Route(LINKS_PATH, Links(tap, images).links, methods=["GET", "POST"])]
