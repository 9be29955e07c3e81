"""Matrices of fluxes against rows that were put in one by one, whatever lies between them."""

from itertools import product
from typing import Any

import numpy as np
import pytest
from sqlalchemy import event, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from schema.photometry import Flux, RelativeFlux
from schema.queries import measurements
from schema.queries.measurements import (
    SQLITE_VARIABLES,
    RelativeFluxes,
    flux_matrices,
    flux_matrix,
    insert_relative_fluxes,
    insert_rows,
    relative_matrices,
)

PID, OTHER_PID = 1_700_000_000_000_000_011, 1_700_000_000_000_000_012
# Neither axis is in order, and ids of others lie between.
SOURCES, STRANGE_SOURCES = np.array([31, 7, 9, 8]), (6, 10, 32)
IMAGES, STRANGE_IMAGES = np.array([5, 3, 900]), (4, 6)
APERTURES, STRANGE_APERTURES = (0, 2), (1, 3)


def truth(source: int, image: int, aperture: int) -> float:
    return 1000.0 * source + image + 0.1 * aperture


@pytest.fixture
def raw_rows(any_session: Session) -> Session:
    """All fluxes but those of one image of one source; one of another is NULL, and flagged."""
    rows: list[dict[str, Any]] = []
    for source in (*SOURCES.tolist(), *STRANGE_SOURCES):
        for image in (*IMAGES.tolist(), *STRANGE_IMAGES):
            for aperture in (*APERTURES, *STRANGE_APERTURES):
                if (source, image) == (9, 3):
                    continue
                value = None if (source, image, aperture) == (8, 5, 2) else truth(source, image, aperture)
                error = None if value is None else 0.5 * value
                rows.append(
                    {
                        "source_id": source,
                        "image_id": image,
                        "aperture": aperture,
                        "flux": value,
                        "flux_error": error,
                        "flag": 4 if value is None else source % 3,
                    }
                )
    any_session.execute(insert(Flux), rows)
    return any_session


def expected(aperture: int) -> np.ndarray[Any, Any]:
    matrix = np.array([[truth(source, image, aperture) for image in IMAGES] for source in SOURCES])
    matrix[2, 1] = np.nan
    if aperture == 2:
        matrix[3, 0] = np.nan
    return matrix


WAYS = (
    ("VALUES_PER_PASS", 1 << 23),  # all apertures in one pass
    ("VALUES_PER_PASS", 1),  # one after the other
    ("ROWS_PER_FETCH", 1),  # one source after the other
    ("SPARSE", 0),  # sources named one by one
    ("SPARSE", 100),  # sources by their range
)


def test_matrices_have_each_value_in_its_place(raw_rows: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    for constant, value in WAYS:
        with monkeypatch.context() as patch:
            patch.setattr(measurements, constant, value)
            found = dict(flux_matrices(raw_rows, APERTURES, SOURCES, IMAGES))
        assert list(found) == list(APERTURES)
        for aperture, raw in found.items():
            flux = expected(aperture)
            np.testing.assert_array_equal(raw.flux, flux)
            np.testing.assert_array_equal(raw.error, 0.5 * flux)
            np.testing.assert_array_equal(raw.flag, np.where(np.isnan(flux), 0, (SOURCES % 3)[:, None]))
            assert raw.flag.dtype == np.int32


def test_one_aperture_is_that_of_many(raw_rows: Session) -> None:
    np.testing.assert_array_equal(flux_matrix(raw_rows, 2, SOURCES, IMAGES).flux, expected(2))


def test_no_sources_or_images_give_empty_matrices(session: Session) -> None:
    for sources, images in ((0, 3), (4, 0), (0, 0)):
        found = dict(flux_matrices(session, APERTURES, SOURCES[:sources], IMAGES[:images]))
        assert [raw.flux.shape for raw in found.values()] == [(sources, images)] * len(APERTURES)


def test_what_was_never_measured_is_missing(raw_rows: Session) -> None:
    raw = flux_matrix(raw_rows, 0, np.array([5000, 8]), np.array([7, 3]))
    np.testing.assert_array_equal(raw.flux, [[np.nan, np.nan], [np.nan, truth(8, 3, 0)]])


def test_relative_fluxes_come_back_as_they_went_in(any_session: Session) -> None:
    rng = np.random.default_rng(5)
    shape = SOURCES.size, IMAGES.size
    curves = {aperture: RelativeFluxes(rng.normal(1, 0.1, shape), rng.uniform(0, 0.1, shape)) for aperture in (2, 0)}
    curves[2].flux[1, 2], curves[0].error[3, 1] = np.nan, np.inf
    other = {aperture: RelativeFluxes(one.flux + 1.0, one.error) for aperture, one in curves.items()}
    assert insert_relative_fluxes(any_session, PID, SOURCES, IMAGES, curves) == 2 * SOURCES.size * IMAGES.size - 1
    insert_relative_fluxes(any_session, OTHER_PID, SOURCES, IMAGES, other)
    curves[2].error[1, 2], curves[0].error[3, 1] = np.nan, np.nan  # without a row, and NULL
    for aperture, found in relative_matrices(any_session, PID, APERTURES, SOURCES, IMAGES):
        np.testing.assert_array_equal(found.flux, curves[aperture].flux)
        np.testing.assert_array_equal(found.error, curves[aperture].error)


def test_relative_fluxes_go_in_in_the_order_of_the_key(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measurements, "ROWS_PER_INSERT", 8)  # blocks of one source, too
    keys: list[tuple[int, ...]] = []

    def remember(_c: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
        if " INTO relative_flux" in statement:
            keys.extend(tuple(row[at : at + 4]) for row in parameters for at in range(0, len(row), 6))

    event.listen(session.get_bind(), "before_cursor_execute", remember)
    shape = SOURCES.size, IMAGES.size
    curves = {aperture: RelativeFluxes(np.ones(shape), np.ones(shape)) for aperture in (2, 0)}
    insert_relative_fluxes(session, PID, SOURCES, IMAGES, curves)
    assert keys == sorted((s, i, a, PID) for s in SOURCES.tolist() for i in IMAGES.tolist() for a in APERTURES)


def test_rows_go_in_whole_however_many_share_a_statement(any_session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    columns = ("source_id", "image_id", "aperture", "pid", "flux", "flux_error")
    joined = SQLITE_VARIABLES // len(columns)
    for image, (number, rows_per_insert) in enumerate(
        product((1, 3 * joined - 1, 3 * joined, 3 * joined + 1), (20_000, 400))
    ):
        monkeypatch.setattr(measurements, "ROWS_PER_INSERT", rows_per_insert)
        rows = [(n, image, 0, PID, 0.1 * n, None if n % 7 == 0 else 0.2 * n) for n in range(1, number + 1)]
        assert insert_rows(any_session, RelativeFlux.__table__, columns, iter(rows)) == number
        query = select(*(getattr(RelativeFlux, name) for name in columns)).where(RelativeFlux.image_id == image)
        assert [tuple(row) for row in any_session.execute(query.order_by(RelativeFlux.source_id))] == rows


def test_a_row_that_is_there_already_undoes_all_rows_of_the_transaction(any_session: Session) -> None:
    """The last of many, so that others of its statement are there when it fails."""
    columns = ("source_id", "image_id", "aperture", "flux", "flux_error", "flag")
    rows = [(source, 1, 0, 2.0, 0.5, 0) for source in range(1, SQLITE_VARIABLES)]
    insert_rows(any_session, Flux.__table__, columns, rows[-1:])
    any_session.commit()
    with pytest.raises(IntegrityError):
        insert_rows(any_session, Flux.__table__, columns, rows)
    any_session.rollback()
    assert any_session.scalars(select(Flux.source_id)).all() == [rows[-1][0]]
