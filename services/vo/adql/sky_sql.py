"""Geometry of ADQL as SQL: ranges of HEALPix cells, which are indexed, and then the exact question."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import radians, sin
from typing import Any

from sqlalchemy import FromClause, and_, func, literal, or_, select
from sqlalchemy.sql import ColumnElement
from sqlalchemy.sql.elements import NamedColumn
from sqlalchemy.sql.selectable import AliasedReturnsRows
from sqlalchemy.sql.visitors import replacement_traverse
from sqlglot import exp

from pipeline.sky.healpix import ranges_of_cone
from services.vo.adql.polygons import ROUNDING, Cone, Pieces, box, polygon
from services.vo.adql.typed import Origin, Typed, as_double, constant, require_number, said
from services.vo.fields import Kind
from services.vo.published.published_table import ROW
from services.vo.vo_errors import RefusedError

Sql = ColumnElement[Any]
MOST_REGIONS = 50  # of one query
WIDEST_CONE = 40.0  # degrees; of a wider one most cells would be named
STAR, KEY = "source_id", "z_key"  # a star's own column, and that of pairs
COORDINATE_SYSTEMS = ("", "ICRS")


@dataclass(frozen=True)
class Point:
    """A place: SQL of degrees, numbers where they are constant, and the column of its cell where there is one.

    ``columns`` are those of right ascension and declination, where it is one row's.
    """

    ra: Sql
    dec: Sql
    place: tuple[float, float] | None = None
    cell: Sql | None = None
    columns: tuple[Origin, Origin] | None = None

    def zones(self, radius: "Reach") -> Sequence[tuple[Sql, Sql]]:
        """Ranges of the cells that lie so near; none where they are not known."""
        wanted = radius.size if radius.size is not None else radius.column
        if self.columns is None or wanted is None:
            return ()
        ra, dec = self.columns
        if isinstance(wanted, Origin):
            return ra.zones(dec.name, wanted.name) if wanted.clause is ra.clause else ()
        return ra.zones(dec.name, wanted)


@dataclass(frozen=True)
class Reach:
    """A radius: SQL of degrees, the number where it is constant, and the column that it is where it is one."""

    sql: Sql
    size: float | None = None
    column: Origin | None = None

    def plus(self, other: "Reach") -> "Reach":
        """Of both together."""
        return Reach(self.sql + other.sql, None if self.size is None or other.size is None else self.size + other.size)

    def less(self, other: "Reach") -> "Reach":
        """What is left of it."""
        return Reach(self.sql - other.sql, None if self.size is None or other.size is None else self.size - other.size)


@dataclass(frozen=True)
class Circle:
    """A circle."""

    centre: Point
    radius: Reach


Shape = Point | Circle | Pieces


def _number(value: float) -> Sql:
    return literal(float(value), Kind.DOUBLE.sql_type)


def _haversine(one: Point, other: Point) -> Sql:
    """sin² of half the distance."""
    across = func.power(func.sin(func.radians(one.ra - other.ra) / _number(2)), _number(2))
    along = func.power(func.sin(func.radians(one.dec - other.dec) / _number(2)), _number(2))
    return along + func.cos(func.radians(one.dec)) * func.cos(func.radians(other.dec)) * across


def distance(one: Point, other: Point) -> Sql:
    """Degrees between two places."""
    half = _haversine(one, other)
    return func.degrees(_number(2) * func.atan2(func.sqrt(half), func.sqrt(func.abs(_number(1) - half))))


def within(one: Point, other: Point, radius: Reach, *, closed: bool = True) -> Sql:
    """Whether two places are at most (or less than) so many degrees apart."""
    size = radius.size
    if size is None:
        apart = distance(one, other)
        return and_(*_in_zones(one, other, radius), apart <= radius.sql if closed else apart < radius.sql)
    if size < 0:
        return _haversine(one, other) < _number(0)
    if size >= 180.0:
        return _haversine(one, other) >= _number(0)
    limit, half = _number(sin(radians(size / 2)) ** 2), _haversine(one, other)
    exact = half <= limit if closed else half < limit
    for moving, fixed in ((one, other), (other, one)):
        if fixed.place is not None and moving.cell is not None:
            return and_(*_in_cells(moving.cell, Cone(*fixed.place, size)), exact)
    # What lies nearer than that lies within a band of declination, which costs no functions.
    band = one.dec.between(other.dec - _number(size * 1.000001), other.dec + _number(size * 1.000001))
    return and_(*_in_zones(one, other, radius), band, exact)


def _in_zones(one: Point, other: Point, radius: Reach) -> list[Sql]:
    """Where stars are looked for about rows of an uploaded table, by their index."""
    for moving, fixed in ((one, other), (other, one)):
        if moving.cell is not None and (zones := fixed.zones(radius)):
            return [or_(*(moving.cell.between(first, last) for first, last in zones))]
    return []


@dataclass(frozen=True)
class Near:
    """A condition by which stars are near to rows of an uploaded table."""

    condition: Sql
    stars: FromClause
    uploaded: Origin

    def rows(self) -> tuple[FromClause, Sql]:
        """All such pairs, with the columns of the stars, and the condition that one is of the uploaded table's row.

        For LEFT JOIN, beside which SQLite and MariaDB look through all stars for each row.
        """
        return self._pairs(self.uploaded.clause, self.uploaded.table.rows().alias(), ROW, self.stars)

    def rows_of_upload(self) -> tuple[FromClause, Sql]:
        """The same the other way round: all pairs with the columns of the uploaded table, and that one is of a star."""
        assert isinstance(self.stars, AliasedReturnsRows)
        rows = self.stars.element
        assert isinstance(rows, FromClause)
        return self._pairs(self.stars, rows.alias(), STAR, self.uploaded.clause)

    def _pairs(self, left: FromClause, own: FromClause, key: str, right: FromClause) -> tuple[FromClause, Sql]:
        """Pairs of the left table, once more under an own name, with the right one, which have the left one's key.

        Grouped, though each pair is there once: so servers cannot make it that join again, and SQLite expects few rows
        and makes an index of them.
        """

        def moved(one: Any, **_: Any) -> Any:
            return own.c[one.name] if isinstance(one, NamedColumn) and one.table is left else None

        condition = replacement_traverse(self.condition, {}, moved)  # type: ignore[call-overload]
        columns = [own.c[key].label(KEY), *right.c]
        pairs = select(*columns).select_from(own.join(right, condition)).group_by(*columns).subquery()
        return pairs, pairs.c[KEY] == left.c[key]


def _in_cells(cell: Sql, cone: Cone) -> list[Sql]:
    if cone.radius > WIDEST_CONE:
        return []
    ranges = ranges_of_cone(cone.ra, cone.dec, cone.radius * 1.000001).tolist()
    return [or_(*(cell.between(first, last) for first, last in ranges))]


def _inside(point: Point, region: Pieces) -> Sql:
    ra, dec = func.radians(point.ra), func.radians(point.dec)

    def product(normal: Any) -> Sql:
        x, y, z = (_number(one) for one in normal)
        return (x * func.cos(ra) + y * func.sin(ra)) * func.cos(dec) + z * func.sin(dec)

    pieces = [and_(*(product(normal) >= _number(-ROUNDING) for normal in piece)) for piece in region.half_spaces]
    exact = or_(*pieces)
    return exact if point.cell is None else and_(*_in_cells(point.cell, region.cone), exact)


class Sky:
    """Reads geometry out of a query; ``value`` gives the SQL of a part of it."""

    def __init__(self, value: Callable[[exp.Expr], Typed]) -> None:
        self._value = value
        self._regions = 0
        self.nears: list[Near] = []  # conditions so far

    def within(self, one: Point, other: Point, radius: Reach, *, closed: bool = True) -> Sql:
        """Whether two places are at most (or less than) so many degrees apart."""
        condition = within(one, other, radius, closed=closed)
        for moving, fixed in ((one, other), (other, one)):
            if moving.cell is not None and fixed.columns is not None and fixed.zones(radius):
                assert isinstance(moving.cell, NamedColumn)
                assert moving.cell.table is not None
                self.nears.append(Near(condition, moving.cell.table, fixed.columns[0]))
        return condition

    def contains(self, arguments: list[exp.Expr]) -> Sql:
        """CONTAINS(inner, outer)."""
        inner, outer = self._two(arguments, "CONTAINS")
        if isinstance(inner, Point):
            return self._holds(outer, inner)
        if isinstance(inner, Circle) and isinstance(outer, Circle):
            return self.within(inner.centre, outer.centre, outer.radius.less(inner.radius))
        raise RefusedError("CONTAINS is answered for a POINT in a region and for a CIRCLE in a CIRCLE")

    def intersects(self, arguments: list[exp.Expr]) -> Sql:
        """INTERSECTS(one, other)."""
        one, other = self._two(arguments, "INTERSECTS")
        if isinstance(one, Point):
            return self._holds(other, one)
        if isinstance(other, Point):
            return self._holds(one, other)
        if isinstance(one, Circle) and isinstance(other, Circle):
            return self.within(one.centre, other.centre, other.radius.plus(one.radius))
        raise RefusedError("INTERSECTS is answered for a POINT and a region, and for two CIRCLEs")

    def points(self, arguments: list[exp.Expr]) -> tuple[Point, Point]:
        """Of DISTANCE(point, point) or DISTANCE(ra, dec, ra, dec)."""
        if len(arguments) == 4:
            return self._point(arguments[:2]), self._point(arguments[2:])
        one, other = self._two(arguments, "DISTANCE")
        if isinstance(one, Point) and isinstance(other, Point):
            return one, other
        raise RefusedError("DISTANCE expects two POINTs, or four coordinates")

    def shape(self, node: exp.Expr) -> Shape:
        """A geometry that is written out."""
        if isinstance(node, exp.Column):
            return self._region(node)
        if not isinstance(node, exp.Anonymous):
            raise RefusedError(f"{said(node)} is no geometry: expected POINT, CIRCLE, POLYGON or BOX")
        self._regions += 1
        if self._regions > MOST_REGIONS:
            raise RefusedError(f"the query has more than {MOST_REGIONS} geometries")
        arguments = _without_system(list(node.expressions))
        name = node.name.upper()
        if name == "POINT" and len(arguments) == 2:
            return self._point(arguments)
        if name == "CIRCLE" and len(arguments) in (2, 3):
            return self._circle(arguments)
        if name == "POLYGON":
            return polygon(self._places(arguments))
        if name == "BOX" and len(arguments) in (3, 4):
            numbers = _constants([*self._spread(arguments[:-2]), *arguments[-2:]], "BOX")
            return box(*numbers)
        raise RefusedError(f"{said(node)} is no geometry that is known, or has another number of arguments")

    def _region(self, node: exp.Column) -> Circle:
        """A column of regions."""
        origin = self._value(node).origin
        names = None if origin is None else origin.table.circles.get(origin.name)
        if origin is None or names is None:
            raise RefusedError(f"{said(node)} is no geometry: expected a column of regions, such as s_region")
        ra, dec, diameter = (origin.clause.c[name] for name in names)
        return Circle(Point(ra, dec), Reach(diameter / _number(2)))

    def _two(self, arguments: list[exp.Expr], name: str) -> tuple[Shape, Shape]:
        if len(arguments) != 2:
            raise RefusedError(f"{name} has {len(arguments)} arguments: expected 2")
        return self.shape(arguments[0]), self.shape(arguments[1])

    def _holds(self, region: Shape, point: Point) -> Sql:
        if isinstance(region, Point):
            raise RefusedError("a POINT holds no other: expected a CIRCLE, POLYGON or BOX; see DISTANCE")
        if isinstance(region, Circle):
            return self.within(point, region.centre, region.radius)
        return _inside(point, region)

    def _point(self, arguments: list[exp.Expr]) -> Point:
        ra, dec = (require_number(self._value(one), one) for one in arguments)
        fixed = [constant(one) for one in arguments]
        place = None
        if fixed[0] is not None and fixed[1] is not None:
            place = float(fixed[0]) % 360.0, float(fixed[1])
            if abs(place[1]) > 90.0:
                raise RefusedError(f"declination {place[1]:g} is beyond a pole: expected -90 to 90 degrees")
        columns = None
        if ra.origin is not None and dec.origin is not None and ra.origin.clause is dec.origin.clause:
            columns = ra.origin, dec.origin
        return Point(as_double(ra), as_double(dec), place, _cell(ra, dec), columns)

    def _circle(self, arguments: list[exp.Expr]) -> Circle:
        centre = self._point(self._spread(arguments[:-1]))
        size, radius = constant(arguments[-1]), require_number(self._value(arguments[-1]), arguments[-1])
        if size is not None and not 0 <= size <= 180:
            raise RefusedError(f"a CIRCLE has a radius of {size:g} degrees: expected 0 to 180")
        return Circle(centre, reach(radius, size))

    def _spread(self, arguments: list[exp.Expr]) -> list[exp.Expr]:
        """Coordinates, of POINTs or written out."""
        found: list[exp.Expr] = []
        for one in arguments:
            is_point = isinstance(one, exp.Anonymous) and one.name.upper() == "POINT"
            found.extend(_without_system(list(one.expressions)) if is_point else [one])
        return found

    def _places(self, arguments: list[exp.Expr]) -> list[tuple[float, float]]:
        numbers = _constants(self._spread(arguments), "POLYGON")
        if len(numbers) % 2:
            raise RefusedError(f"a POLYGON has {len(numbers)} coordinates: expected pairs")
        if any(abs(dec) > 90 for dec in numbers[1::2]):
            raise RefusedError("a POLYGON has a declination beyond a pole")
        return list(zip(numbers[::2], numbers[1::2], strict=True))


def reach(radius: Typed, size: float | None) -> Reach:
    """A radius that a query has; ``size`` is the number that it is, where it is one."""
    return Reach(as_double(radius), None if size is None else float(size), radius.origin)


def _cell(ra: Typed, dec: Typed) -> Sql | None:
    one, other = ra.origin, dec.origin
    if one is None or other is None or one.clause is not other.clause:
        return None
    if one.table.position != (one.name, other.name) or one.table.healpix is None:
        return None
    cell: Sql = one.clause.c[one.table.healpix]
    return cell


def _without_system(arguments: list[exp.Expr]) -> list[exp.Expr]:
    """ADQL 2.0 named the axes first."""
    if arguments and isinstance(arguments[0], exp.Literal) and arguments[0].is_string:
        if arguments[0].name.upper().split(" ")[0] not in COORDINATE_SYSTEMS:
            raise RefusedError(f"coordinates are of the ICRS, found {arguments[0].name[:40]!r}")
        return arguments[1:]
    return arguments


def _constants(nodes: list[exp.Expr], name: str) -> list[float]:
    numbers = [constant(one) for one in nodes]
    if any(one is None for one in numbers):
        raise RefusedError(f"{name} is answered with numbers only, not with columns")
    return [float(one) for one in numbers if one is not None]
