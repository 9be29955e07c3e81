"""Texts of the database without the folders of the machine that they were written on, in SQL."""

from typing import Any

from sqlalchemy import String, and_, case, func, literal, or_
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import ColumnElement
from sqlalchemy.sql.functions import FunctionElement

Sql = ColumnElement[Any]
CUT = "… (the rest names a place on the machine)"
# A path that is left begins a word, also one in quotes or brackets; `12/40` and `adu/s` are none.
BACKSLASH = "\\"
_BEGINNINGS = ("/%", "% /%", "%'/%", '%"/%', "%(/%", "%[/%", "%=/%", "%:/%", "%,/%", "%~/%")


class folder_of(FunctionElement[str]):  # noqa: N801 - a function of SQL
    """All of a path up to its last slash, that one too; empty without a slash."""

    type = String()
    inherit_cache = True


@compiles(folder_of)
def _of_servers(element: Any, compiler: Any, **kw: Any) -> str:
    path = compiler.process(element.clauses, **kw)
    return f"LEFT({path}, CHAR_LENGTH({path}) - CHAR_LENGTH(SUBSTRING_INDEX({path}, '/', -1)))"


@compiles(folder_of, "sqlite")
def _of_sqlite(element: Any, compiler: Any, **kw: Any) -> str:
    path = compiler.process(element.clauses, **kw)
    return f"RTRIM({path}, REPLACE({path}, '/', ''))"


def path_free(text: Sql, root: Sql, path: Sql) -> Sql:
    """A text that may name a file by its ``path``, below the site's ``root`` or elsewhere: its name alone is left.

    Where another path is left all is cut off from its first slash on: what cannot be known is not published.
    """
    below = func.replace(text, func.coalesce(func.nullif(root, ""), "/").concat("/"), "")
    short = func.coalesce(func.replace(below, func.nullif(folder_of(path), ""), ""), below)
    slashes = func.replace(short, BACKSLASH, "/")
    return case(
        (and_(func.instr(text, "/") == 0, func.instr(text, BACKSLASH) == 0), text),
        (
            or_(*(slashes.like(one) for one in _BEGINNINGS)),
            func.substr(short, 1, func.instr(slashes, "/") - 1).concat(literal(CUT)),
        ),
        else_=short,
    )
