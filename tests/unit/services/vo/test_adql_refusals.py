"""What is no question: refused before any SQL is made, with a word that says why."""

import pytest

from services.vo.adql.select_compiler import translate
from services.vo.published.published_table import Catalogue
from services.vo.published.science_tables import SCIENCE_TABLES
from services.vo.vo_errors import RefusedError

REFUSED = (
    ("DELETE FROM tianyu.source_catalog", "only queries"),
    ("UPDATE tianyu.source_catalog SET ra = 0", "only queries"),
    ("INSERT INTO tianyu.source_catalog SELECT * FROM tianyu.frame", "only queries"),
    ("DROP TABLE tianyu.source_catalog", "only queries"),
    ("PRAGMA query_only = OFF", "only queries"),
    ("SET SESSION TRANSACTION READ WRITE", "only queries"),
    ("ATTACH DATABASE '/etc/passwd' AS x", ""),
    ("SELECT ra FROM source_catalog; DROP TABLE source", "2 statements"),
    ("SELECT ra FROM source_catalog INTO OUTFILE '/tmp/x'", ""),
    ("SELECT * INTO copy FROM source_catalog", ""),
    ("SELECT ra FROM source_catalog FOR UPDATE", "not ADQL"),
    ("SELECT * FROM process", "no table"),
    ("SELECT * FROM mysql.user", "no table"),
    ("SELECT * FROM information_schema.tables", "no table"),
    ("SELECT * FROM sqlite_master", "no table"),
    ("SELECT * FROM other.source_catalog", "no table"),
    ("SELECT * FROM x.tianyu.source_catalog", "expected SCHEMA.TABLE"),
    ("SELECT path FROM frame", "no column"),
    ("SELECT pid FROM source_catalog", "no column"),
    ("SELECT @@version FROM frame", ""),
    ("SELECT SLEEP(10) FROM frame", "not answered"),
    ("SELECT LOAD_FILE('/etc/passwd') FROM frame", "not answered"),
    ("SELECT load_extension('x') FROM frame", "not answered"),
    ("SELECT VERSION() FROM frame", "not answered"),
    ("SELECT * FROM pragma_table_info('image')", "no table"),
    ("SELECT /*!50000 SLEEP(10) */ ra FROM source_catalog /* x", ""),
    ("SELECT ra FROM source_catalog WHERE target = 'x' OR ra IN (SELECT pid FROM process)", ""),
    ("SELECT ra FROM source_catalog WHERE ra = 'x'", "mixes texts and numbers"),
    ("SELECT night, COUNT(*) FROM frame", "GROUP BY"),
    ("SELECT * FROM frame GROUP BY night", "does not stand beside GROUP BY"),
    ("SELECT ra FROM source_catalog WHERE COUNT(*) > 1", "nothing to aggregate"),
    ("SELECT source_id FROM source_catalog AS a JOIN light_curve AS b ON a.source_id = b.source_id", "several tables"),
    ("SELECT ra FROM source_catalog WHERE ra > 99999999999999999999", "too large"),
    ("SELECT ra FROM source_catalog WHERE ra > 1e999", "too large"),
    ("SELECT ra FROM source_catalog WHERE CONTAINS(POINT(ra, dec), CIRCLE(1, 95, 1)) = 1", "beyond a pole"),
    ("SELECT ra FROM source_catalog WHERE CONTAINS(POINT(ra, dec), CIRCLE(1, 2, -1)) = 1", "radius"),
    ("SELECT ra FROM source_catalog WHERE CONTAINS(POINT('GALACTIC', ra, dec), CIRCLE(1, 2, 1)) = 1", "ICRS"),
    ("SELECT ra FROM source_catalog WHERE CONTAINS(POINT(ra, dec), POLYGON(0,0, 1,1, 1,0, 0,1)) = 1", "crosses itself"),
    ("SELECT ra FROM source_catalog WHERE CONTAINS(POINT(ra, dec), POLYGON(0,0, 120,0, 240,0)) = 1", "half of the sky"),
    ("SELECT " + "(" * 3000 + "1" + ")" * 3000 + " FROM frame", "nested"),
    ("SELECT ra FROM source_catalog WHERE " + "NOT " * 3000 + "ra = 1", ""),
    ("SELECT " + "+".join("1" * 5000) + " FROM frame", ""),
    ("SELECT ra FROM source_catalog -- " + "x" * 60_000, "characters"),
    ("SELECT 1 FROM " + ", ".join(f"frame AS f{n}" for n in range(30)), "tables"),
    ("SELECT 'open FROM frame", ""),
    ("", "statements"),
    ("SELECT", ""),
    ("WITH RECURSIVE w AS (SELECT 1 AS n FROM frame) SELECT n FROM w", "recursive"),
    ("VALUES (1)", ""),
    ("SELECT ra FROM (VALUES (1)) AS t(ra)", ""),
)


@pytest.mark.parametrize(("adql", "why"), REFUSED, ids=range(len(REFUSED)))
def test_what_is_not_asked_by_adql_is_refused(adql: str, why: str) -> None:
    for is_sqlite in (True, False):
        with pytest.raises(RefusedError) as refused:
            translate(adql, Catalogue(SCIENCE_TABLES), is_sqlite=is_sqlite)
        assert why in str(refused.value)


def test_names_and_texts_of_who_asks_are_no_part_of_sql() -> None:
    evil = "x`; DROP TABLE source; -- "
    text = "it''s \\''; DROP TABLE source; -- "
    query = translate(
        f'SELECT s.ra AS "{evil}", \'{text}\' AS t FROM source_catalog AS "{evil}2", source_catalog AS s '
        f'WHERE s.ra <> 1 ORDER BY "{evil}"',
        Catalogue(SCIENCE_TABLES),
        is_sqlite=False,
    )
    compiled = query.select.compile()
    assert "DROP" not in str(compiled)
    assert text.replace("''", "'") in compiled.params.values()
    assert query.fields[0].name == evil


def test_comments_say_nothing() -> None:
    query = translate(
        "SELECT ra -- , path\nFROM source_catalog -- FROM process", Catalogue(SCIENCE_TABLES), is_sqlite=True
    )
    assert [one.name for one in query.fields] == ["ra"]
