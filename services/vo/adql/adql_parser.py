"""ADQL to a syntax tree, which sqlglot makes; what is in it is judged elsewhere."""

from typing import Any, ClassVar

from sqlglot import exp, tokens
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import ParseError, TokenError
from sqlglot.parser import Parser as AnyParser
from sqlglot.tokenizer_core import TokenType

from services.vo.vo_errors import RefusedError

MOST_CHARACTERS = 50_000
EXCERPT = 40


class Adql(Dialect):
    """Quotes and keywords of ADQL. All functions are alike to the parser: the translator knows those that there are."""

    class Tokenizer(tokens.Tokenizer):
        """TOP is its own word."""

        IDENTIFIERS = ['"']  # noqa: RUF012 - sqlglot's own
        QUOTES = ["'"]  # noqa: RUF012
        COMMENTS = ["--"]  # noqa: RUF012
        KEYWORDS = {**tokens.Tokenizer.KEYWORDS, "TOP": TokenType.TOP}  # noqa: RUF012

    class Parser(AnyParser):
        """Without functions of its own."""

        FUNCTIONS: ClassVar[dict[str, Any]] = {}
        FUNCTION_PARSERS: ClassVar[dict[str, Any]] = {}
        NO_PAREN_FUNCTIONS: ClassVar[dict[Any, Any]] = {}
        NO_PAREN_FUNCTION_PARSERS: ClassVar[dict[str, Any]] = {}


def parse(adql: str) -> exp.Query:
    """The one query that a text holds.

    Raises:
        RefusedError: it is no ADQL, more than one statement, or no query.
    """
    if len(adql) > MOST_CHARACTERS:
        raise RefusedError(f"the query has {len(adql)} characters: expected at most {MOST_CHARACTERS}")
    try:
        statements = [one for one in Adql().parse(adql) if one is not None]
    except ParseError as error:
        raise RefusedError(_said(error)) from error
    except (TokenError, RecursionError, ValueError) as error:
        raise RefusedError("the query cannot be read: is a quote open, or is it nested too deeply?") from error
    if len(statements) != 1:
        raise RefusedError(f"expected one query, found {len(statements)} statements")
    [query] = statements
    if not isinstance(query, exp.Query):
        raise RefusedError(f"only queries (SELECT …) are answered, found {type(query).__name__.upper()}")
    return query


def _said(error: ParseError) -> str:
    """Where it cannot be read, without sqlglot's colours."""
    if not error.errors:
        return "the query cannot be read"
    first = error.errors[0]
    near = str(first.get("highlight") or "")[:EXCERPT]
    return f"the query cannot be read at line {first.get('line')}, column {first.get('col')}, near {near!r}"
