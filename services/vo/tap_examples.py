"""Questions to begin with, as a page that clients offer (DALI-examples), and that the documentation shows."""

from services.vo.writing.votable_words import content

EXAMPLES = (
    (
        "Stars about a place",
        "SELECT source_id, ra, dec, gaia_source_id, gaia_g_mag\n"
        "FROM tianyu.source_catalog\n"
        "WHERE 1 = CONTAINS(POINT('ICRS', ra, dec), CIRCLE('ICRS', 31.0428, 46.6878, 0.05))",
    ),
    (
        "Light curve of one star in its best aperture",
        "SELECT bjd_tdb, flux_relative, flux_relative_error, mag, mag_error\n"
        "FROM tianyu.light_curve\n"
        "WHERE source_id = 17 AND aperture_best = 1 AND usable = 1\n"
        "ORDER BY bjd_tdb",
    ),
    (
        "Candidates of all nights, the most variable first",
        "SELECT v.observation_id, o.target, o.night, v.source_id, s.ra, s.dec, v.leading_test, v.false_alarm\n"
        "FROM tianyu.variability AS v\n"
        "JOIN tianyu.observation AS o ON o.observation_id = v.observation_id\n"
        "JOIN tianyu.source_catalog AS s ON s.source_id = v.source_id\n"
        "WHERE v.candidate = 1\n"
        "ORDER BY false_alarm",
    ),
    (
        "Images and light curves about a place, as data sets",
        "SELECT dataproduct_type, obs_title, t_min, access_url\n"
        "FROM ivoa.obscore\n"
        "WHERE 1 = INTERSECTS(CIRCLE('ICRS', 31.0428, 46.6878, 0.01), s_region)",
    ),
    (
        "Nights, and how many of their frames are good",
        "SELECT o.observation_id, o.target, o.filter, o.night AS evening, SUM(f.good) AS good, COUNT(*) AS frames\n"
        "FROM tianyu.observation AS o\n"
        "JOIN tianyu.frame AS f ON f.observation_id = o.observation_id\n"
        "GROUP BY o.observation_id, o.target, o.filter, o.night\n"
        "ORDER BY evening",
    ),
)


def examples_page() -> str:
    """All of them, in XHTML with the properties that clients look for."""
    listed = "".join(
        f'<div id="example-{number}" resource="#example-{number}" typeof="example">\n'
        f'<h2 property="name">{content(name)}</h2>\n'
        f'<pre property="query">{content(adql)}</pre>\n</div>\n'
        for number, (name, adql) in enumerate(EXAMPLES, 1)
    )
    return (
        '<!DOCTYPE html>\n<html xmlns="http://www.w3.org/1999/xhtml" xml:lang="en" lang="en">\n'
        "<head><title>Examples</title></head>\n"
        f'<body vocab="http://www.ivoa.net/rdf/examples#">\n<h1>Examples</h1>\n{listed}</body>\n</html>\n'
    )
