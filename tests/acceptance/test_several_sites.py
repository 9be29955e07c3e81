"""A night of a mountain and a base: programs at both, real servers between them, and a link that is cut."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.acceptance.programs import Programs
from tests.acceptance.test_distributed_night import light_curves, rows, wait_for
from tests.conftest import broker_of, new_site
from tests.integration.offering import AT_BASE, Offering, offering
from tests.integration.small_night import Night, simulate_night

GROUP = "memory"  # of those whose queues are removed behind a test
WHERE = """
SELECT DISTINCT p.command, s.name, g.name FROM process p
JOIN site s ON s.site_id = p.site_id JOIN process_group g ON g.group_id = p.group_id
"""
ATTEMPTS = """
SELECT a.outcome, a.error_class FROM process_attempt a JOIN process p ON p.pid = a.pid
WHERE p.command = 'transfer' ORDER BY a.attempt
"""


@pytest.fixture
def link(tmp_path: Path) -> Iterator[Offering]:
    with offering(tmp_path / "mountain") as offers:
        yield offers


@pytest.fixture
def base_site() -> Iterator[str]:
    site = new_site()
    with broker_of(site):
        yield site


def test_both_sites_make_the_light_curves_of_one(
    database_url: str, broker_url: str, unique_site: str, base_site: str, tmp_path: Path, link: Offering
) -> None:
    alone = Night.open(tmp_path / "alone")
    raw = simulate_night(tmp_path / "raw")
    alone.publish(raw)
    alone.work()
    common = {
        "TIANYU_DATABASE_URL": database_url,
        "TIANYU_BROKER_URL": broker_url,
        "TIANYU_SWEEP_S": "0.5",
        "TIANYU_BACKOFF_S": "0.1",
        "TIANYU_GROUPS": f'{{"transfer": "{GROUP}"}}',
    }
    mountain = Programs(common | {"TIANYU_SITE": unique_site, "TIANYU_ROOT": str(tmp_path / "mountain")}, tmp_path)
    base_logs = tmp_path / "base_logs"
    base_logs.mkdir()
    base = Programs(
        common
        | {
            "TIANYU_SITE": base_site,
            "TIANYU_ROOT": str(tmp_path / "base"),
            "TIANYU_SITES": f'{{"{unique_site}": {{"url": "{link.url}"}}}}',
        },
        base_logs,
    )
    link.cuts += [20_000, 0, 10_000]  # bytes that come before the link is cut, once in each way
    try:
        for programs in (mountain, base):
            programs.run("init")
        mountain.run("ingest", str(raw))
        mountain.run("publish", "--all", "--at", f"{base_site}={','.join(AT_BASE)}")
        mountain.start("manager")
        mountain.start("consumer")
        base.start("consumer")
        wait_for(database_url, "SELECT COUNT(*) FROM process WHERE command = 'pack' AND status = 'succeeded'", 1)
        waiting = base.run("status").stdout
        assert f"start `tianyu consumer --group {GROUP}` at site {base_site}" in " ".join(waiting.split())
        base.start("consumer", "--group", GROUP)
        assert "light curves made" in base.run("status", "--wait").stdout
    finally:
        for programs in (mountain, base):
            programs.stop()
    keys, values = light_curves(database_url)
    expected_keys, expected = light_curves(f"sqlite:///{tmp_path / 'alone' / 'tianyu.db'}")
    assert keys == expected_keys
    np.testing.assert_allclose(values, expected, rtol=1e-12, atol=0)
    found = {command: (site, group) for command, site, group in rows(database_url, WHERE)}
    assert found["transfer"] == (base_site, GROUP)
    assert {found[command] for command in AT_BASE if command in found} == {(base_site, "cpu")}
    assert {found[command][0] for command in ("calibrate", "stack", "pack", "extract")} == {unique_site}
    assert rows(database_url, ATTEMPTS) == [("failed", "surroundings"), ("succeeded", None)]
    [(packed,)] = rows(database_url, "SELECT size_bytes FROM image WHERE kind = 'packed'")
    assert link.sent == packed  # nothing travelled twice
    report = base.run("report", "4").stdout
    assert f"went from {unique_site} to {base_site}" in " ".join(report.split())
    again = mountain.run("publish", "4", "--at", f"{base_site}={','.join(AT_BASE)}").stdout
    assert "nothing to compute" in " ".join(again.split())
