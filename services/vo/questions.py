"""A question and what answers it: which database, which SQL, and the document that its rows become."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import chain
from typing import Any, BinaryIO

from sqlalchemy import Engine
from sqlglot import exp

from services.vo.adql.adql_parser import parse
from services.vo.adql.select_compiler import translate
from services.vo.answer_columns import Chunk
from services.vo.answer_formats import writer_for
from services.vo.fields import Field
from services.vo.published import obscore
from services.vo.published.obscore import obscore as obscore_of
from services.vo.published.published_table import Catalogue, PublishedTable
from services.vo.published.science_tables import DESCRIPTION, SCHEMA, SCIENCE_TABLES
from services.vo.published.tap_schema import DESCRIPTIONS, SCHEMA_TABLES, schema_engine
from services.vo.published.tap_schema import SCHEMA as TAP_SCHEMA
from services.vo.query_limits import QueryLimits
from services.vo.query_running import Stop, asked
from services.vo.uploaded_tables import OwnResult, read_uploads
from services.vo.vo_errors import RefusedError
from services.vo.writing.row_writers import written
from services.vo.writing.votable_words import around, may_be_id
from services.whole_numbers import whole_number

PUBLISHED = (*SCIENCE_TABLES, obscore_of("", ""), *SCHEMA_TABLES)
SCHEMAS = {SCHEMA: DESCRIPTION, obscore.SCHEMA: obscore.DESCRIPTION, **DESCRIPTIONS}
LANGUAGES = ("ADQL", "ADQL-2.0", "ADQL-2.1")


def _no_result(_: str) -> bytes | None:
    return None


@dataclass(frozen=True)
class Question:
    """A query of ADQL, and how it shall be answered."""

    adql: str
    maxrec: int | None = None
    response_format: str = ""
    upload: str = ""
    files: Mapping[str, BinaryIO] = field(default_factory=dict)
    protocol: str = "ivo://ivoa.net/std/TAP"
    own_result: OwnResult = _no_result
    links: str = ""  # address that gives links of a star
    said: Mapping[str, Mapping[str, Any]] = field(
        default_factory=dict
    )  # facts of columns that a protocol has otherwise


@dataclass(frozen=True)
class Answer:
    """A document, part by part."""

    media_type: str
    suffix: str
    parts: Iterator[bytes]


class Questions:
    """Answers about one database; data sets are those whose files lie at ``site``."""

    def __init__(self, engine: Engine, limits: QueryLimits, site: str) -> None:
        self.engine, self.limits, self.site = engine, limits, site

    @contextmanager
    def answered(self, question: Question, stop: Stop, *, is_whole: bool = False) -> Iterator[Answer]:
        """The answer, of which the first rows are there: what follows is read while it is taken.

        An error amid the rows is told at the end of the document, or, where it shall be ``is_whole``, raised.

        Raises:
            RefusedError: it is no question that is answered.
            TooLongError: the first rows take too long.
        """
        own = _asks_schema(question.adql)
        with ExitStack() as stack:
            engine = self._engine(stack, own=own)
            is_sqlite = engine.dialect.name == "sqlite"
            uploads = self._uploads(question, is_sqlite=is_sqlite)
            tables: tuple[PublishedTable, ...] = (
                SCHEMA_TABLES if own else (*SCIENCE_TABLES, obscore_of(question.links, self.site))
            )
            query = translate(question.adql, Catalogue((*tables, *uploads)), is_sqlite=is_sqlite)
            query = replace(query, fields=_said(query.fields, question))
            words = around(query.fields, _facts(question), question.links)
            writer = writer_for(question.response_format, query.fields, words)
            most = self.limits.wanted(question.maxrec)
            chunks = stack.enter_context(asked(engine, query, most, stop))
            first = next(chunks, Chunk.of_rows(query.fields, []))
            parts = written(writer, chain([first], chunks), most, self.limits.bytes_most, is_whole=is_whole)
            yield Answer(writer.media_type, writer.suffix, parts)

    def _uploads(self, question: Question, *, is_sqlite: bool) -> list[PublishedTable]:
        return read_uploads(question.upload, question.files, question.own_result, self.limits, is_sqlite=is_sqlite)

    def _engine(self, stack: ExitStack, *, own: bool) -> Engine:
        if not own:
            return self.engine
        engine = schema_engine(PUBLISHED, SCHEMAS)
        stack.callback(engine.dispose)
        return engine


def _asks_schema(adql: str) -> bool:
    """Whether it is about the tables themselves."""
    return any(one.db.upper() == TAP_SCHEMA for one in parse(adql).find_all(exp.Table))


def _said(fields: Sequence[Field], question: Question) -> tuple[Field, ...]:
    """As the protocol calls them; of several columns of stars the first one has links."""
    stars = [one for one in fields if one.is_star and may_be_id(one.name)]
    # Some programs cannot ask by numbers: they do not find their stars in the answer, which names them by texts.
    star = next((one.name for one in sorted(stars, key=lambda one: one.kind.is_number)), None)
    return tuple(replace(one, is_star=one.name == star, **question.said.get(one.name, {})) for one in fields)


def _facts(question: Question) -> dict[str, str]:
    """What a document says of itself (IVOA Note on data origin)."""
    return {
        "service_protocol": question.protocol,
        "request_date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "query": question.adql,
    }


def question_of(
    parameters: Mapping[str, list[str]], files: Mapping[str, BinaryIO], own_result: OwnResult, links: str
) -> Question:
    """What the parameters of TAP ask; names are in capitals.

    Raises:
        RefusedError: one is missing, given twice, or cannot be understood.
    """
    single = {name: _one(name, values) for name, values in parameters.items() if name != "UPLOAD"}
    if (request := single.get("REQUEST", "doQuery")) != "doQuery":
        raise RefusedError(f"REQUEST is {request[:40]!r}: expected doQuery")
    if (language := single.get("LANG", "ADQL")).upper() not in LANGUAGES:
        raise RefusedError(f"LANG is {language[:40]!r}: expected {' or '.join(LANGUAGES)}")
    if not single.get("QUERY", "").strip():
        raise RefusedError("parameter QUERY is missing: expected a query of ADQL")
    return Question(
        single["QUERY"],
        maxrec_of(single.get("MAXREC", "")),
        single.get("RESPONSEFORMAT") or single.get("FORMAT") or "",
        ";".join(parameters.get("UPLOAD", [])),
        files,
        own_result=own_result,
        links=links,
    )


def maxrec_of(words: str) -> int | None:
    """A number of rows.

    Raises:
        RefusedError: it is none.
    """
    if not words:
        return None
    number = whole_number(words)
    if number is None:
        raise RefusedError(f"MAXREC is {words[:40]!r}: expected a whole number from 0 on")
    return number


def _one(name: str, values: list[str]) -> str:
    if len(values) > 1:
        raise RefusedError(f"parameter {name[:40]} is given {len(values)} times: expected once")
    return values[0]
