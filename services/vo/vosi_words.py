"""VOSI: what the service can do, which tables it has, and that it is there."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from services.vo.adql.adql_functions import FUNCTIONS
from services.vo.answer_formats import FORMATS
from services.vo.fields import Field
from services.vo.published.published_table import PublishedTable
from services.vo.published.tap_schema import KEYS
from services.vo.query_limits import QueryLimits
from services.vo.writing.votable_words import attribute, content

XSI = "http://www.w3.org/2001/XMLSchema-instance"
NAMESPACES = {
    "vosi": "http://www.ivoa.net/xml/VOSICapabilities/v1.0",
    "tr": "http://www.ivoa.net/xml/TAPRegExt/v1.0",
    "vr": "http://www.ivoa.net/xml/VOResource/v1.0",
    "vs": "http://www.ivoa.net/xml/VODataService/v1.1",
    "cs": "http://www.ivoa.net/xml/ConeSearch/v1.0",
    "xsi": XSI,
}
FEATURES = "ivo://ivoa.net/std/TAPRegExt#features-"
GEOMETRY = ("POINT", "CIRCLE", "POLYGON", "BOX", "CONTAINS", "INTERSECTS", "DISTANCE", "COORD1", "COORD2")
OTHER_FEATURES = {
    "adql-string": ("LOWER", "UPPER", "ILIKE"),
    "adql-sets": ("UNION", "EXCEPT", "INTERSECT"),
    "adql-common-table": ("WITH",),
    "adql-unit": ("IN_UNIT",),
    "adql-offset": ("OFFSET",),
}
assert {"LOWER", "UPPER", "IN_UNIT"} <= FUNCTIONS.keys()  # what is told is there


def _interface(kind: str, url: str, *, is_base: bool = False, version: str = "") -> str:
    told = f' version="{version}"' if version else ""
    use = "base" if is_base else "full"
    address = f'<accessURL use="{use}">{content(url)}</accessURL>'
    return f'<interface xsi:type="{kind}" role="std"{told}>{address}</interface>\n'


def capabilities(base: str, limits: QueryLimits) -> str:
    """What the service can do; ``base``: its address."""
    names = " ".join(f'xmlns:{name}="{address}"' for name, address in NAMESPACES.items())
    vosi = "".join(
        f'<capability standardID="ivo://ivoa.net/std/VOSI#{name}">\n'
        f"{_interface('vs:ParamHTTP', f'{base}/tap/{name}')}</capability>\n"
        for name in ("capabilities", "availability")
    )
    tables = _interface("vs:ParamHTTP", f"{base}/tap/tables", version="1.1")
    vosi += f'<capability standardID="ivo://ivoa.net/std/VOSI#tables-1.1">\n{tables}</capability>\n'
    examples = _interface("vr:WebBrowser", f"{base}/tap/examples")
    vosi += f'<capability standardID="ivo://ivoa.net/std/DALI#examples">\n{examples}</capability>\n'
    return f"<vosi:capabilities {names}>\n{vosi}{_tap(base, limits)}</vosi:capabilities>\n"


def _tap(base: str, limits: QueryLimits) -> str:
    features = _features("adqlgeo", GEOMETRY) + "".join(
        _features(name, forms) for name, forms in OTHER_FEATURES.items()
    )
    versions = "".join(
        f'<version ivo-id="ivo://ivoa.net/std/ADQL#v{number}">{number}</version>\n' for number in ("2.0", "2.1")
    )
    formats = "".join(
        f"<outputFormat><mime>{content(media_type)}</mime>"
        + "".join(f"<alias>{content(one)}</alias>" for one in aliases)
        + "</outputFormat>\n"
        for media_type, aliases, _ in FORMATS
    )
    return (
        '<capability standardID="ivo://ivoa.net/std/TAP" xsi:type="tr:TableAccess">\n'
        f"{_interface('vs:ParamHTTP', f'{base}/tap', is_base=True, version='1.1')}"
        '<dataModel ivo-id="ivo://ivoa.net/std/ObsCore#core-1.1">ObsCore-1.1</dataModel>\n'
        f"<language><name>ADQL</name>\n{versions}<description>ADQL 2.1</description>\n{features}</language>\n{formats}"
        '<uploadMethod ivo-id="ivo://ivoa.net/std/TAPRegExt#upload-inline"/>\n'
        '<uploadMethod ivo-id="ivo://ivoa.net/std/TAPRegExt#upload-http"/>\n'
        f"<retentionPeriod><default>{limits.job_kept_s:.0f}</default>"
        f"<hard>{limits.job_kept_s:.0f}</hard></retentionPeriod>\n"
        f"<executionDuration><default>{limits.job_seconds:.0f}</default>"
        f"<hard>{limits.job_seconds:.0f}</hard></executionDuration>\n"
        f'<outputLimit><default unit="row">{limits.rows}</default>'
        f'<hard unit="row">{limits.rows_most}</hard></outputLimit>\n'
        f'<uploadLimit><hard unit="byte">{limits.upload_bytes}</hard></uploadLimit>\n'
        "</capability>\n"
    )


def _features(kind: str, forms: Iterable[str]) -> str:
    listed = "".join(f"<feature><form>{form}</form></feature>" for form in forms)
    return f'<languageFeatures type="{FEATURES}{kind}">{listed}</languageFeatures>\n'


def availability(since: datetime, problem: str = "") -> str:
    """Whether questions are answered; ``problem``: why not."""
    is_there = "false" if problem else "true"
    note = f"<vosi:note>{content(problem)}</vosi:note>" if problem else ""
    return (
        '<vosi:availability xmlns:vosi="http://www.ivoa.net/xml/VOSIAvailability/v1.0">'
        f"<vosi:available>{is_there}</vosi:available><vosi:upSince>{since:%Y-%m-%dT%H:%M:%SZ}</vosi:upSince>{note}"
        "</vosi:availability>\n"
    )


def table_set(tables: Iterable[PublishedTable], descriptions: Mapping[str, str], *, is_detailed: bool = True) -> str:
    """All tables, by schemas."""
    listed = list(tables)
    schemas = "".join(
        f"<schema><name>{content(name)}</name><description>{content(words)}</description>\n"
        + "".join(_table(one, is_detailed=is_detailed) for one in listed if one.schema == name)
        + "</schema>\n"
        for name, words in descriptions.items()
    )
    return f"<vosi:tableset {_TABLES_NAMES}>\n{schemas}</vosi:tableset>\n"


def one_table(table: PublishedTable) -> str:
    """One table."""
    inner = _table(table, is_detailed=True)
    return inner.replace("<table ", f"<vosi:table {_TABLES_NAMES} ", 1).replace("</table>", "</vosi:table>")


_TABLES_NAMES = (
    'xmlns:vosi="http://www.ivoa.net/xml/VOSITables/v1.0" xmlns:vs="http://www.ivoa.net/xml/VODataService/v1.1" '
    f'xmlns:xsi="{XSI}"'
)


def _table(table: PublishedTable, *, is_detailed: bool) -> str:
    utype = f"<utype>{content(table.utype)}</utype>" if table.utype else ""
    columns = "".join(map(_column, table.fields)) + _keys(table) if is_detailed else ""
    return (
        f'<table type="table"><name>{content(table.full_name)}</name>'
        f"<description>{content(table.description)}</description>{utype}\n{columns}</table>\n"
    )


def _keys(table: PublishedTable) -> str:
    return "".join(
        f"<foreignKey><targetTable>{target}</targetTable><fkColumn><fromColumn>{own}</fromColumn>"
        f"<targetColumn>{theirs}</targetColumn></fkColumn></foreignKey>\n"
        for name, own, target, theirs in KEYS
        if name == table.full_name
    )


def _column(field: Field) -> str:
    size = f" arraysize={attribute(field.arraysize)}" if field.arraysize else ""
    extended = f" extendedType={attribute(field.xtype)}" if field.xtype else ""
    name = f'"{field.name}"' if field.name == "size" else field.name
    flags = "".join(
        f"<flag>{flag}</flag>"
        for flag, is_set in (("indexed", field.is_indexed), ("principal", field.is_principal))
        if is_set
    )
    standard = ' std="true"' if field.is_standard else ""
    parts = (
        ("name", name),
        ("description", field.description),
        ("unit", field.unit),
        ("ucd", field.ucd),
        ("utype", field.utype),
    )
    words = "".join(f"<{tag}>{content(value)}</{tag}>" for tag, value in parts if value)
    kind = f'<dataType xsi:type="vs:VOTableType"{size}{extended}>{field.kind.value}</dataType>'
    return f"<column{standard}>{words}{kind}{flags}</column>\n"
