"""Where answers come from: a database that is opened here, or a service that is asked over HTTP."""

from collections.abc import Sequence
from typing import Any, Protocol

from sqlalchemy import Engine

from tianyu.client_questions import QUESTIONS
from tianyu.light_curve_rows import ApertureChoice, Points, points, together

Row = Any  # a tuple whose values have names, too
Rows = list[Row]


class Asked(Protocol):
    """Answers questions by their names, and gives points of light curves."""

    place: str

    def rows(self, question: str, **parameters: Any) -> tuple[Sequence[str], Rows]:
        """Names of columns, and rows, of one of `client_questions.QUESTIONS`."""

    def points(
        self, sources: Sequence[int], observations: Sequence[int], aperture: ApertureChoice, *, usable_only: bool
    ) -> Points:
        """Points of these sources in these observations, in any order."""


class Database:
    """A database of Tianyu's, opened for reading."""

    def __init__(self, engine: Engine, place: str) -> None:
        """``place``: what it is called in what is told of it."""
        self.engine, self.place = engine, place

    def rows(self, question: str, **parameters: Any) -> tuple[Sequence[str], Rows]:
        """As `Asked` says."""
        with self.engine.connect() as connection:
            found = connection.execute(QUESTIONS[question].statement(), parameters)
            return list(found.keys()), list(found)

    def points(
        self, sources: Sequence[int], observations: Sequence[int], aperture: ApertureChoice, *, usable_only: bool
    ) -> Points:
        """As `Asked` says."""
        with self.engine.connect() as connection:
            parts = points(connection, sources, observations, aperture=aperture, usable_only=usable_only)
            return together([part for _, part in parts])
