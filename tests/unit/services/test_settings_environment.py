"""Settings survive the way through another process's environment."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from services.settings import Settings, as_environment, load


def test_another_process_reads_the_same_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    given = load(
        database_url=SecretStr("sqlite:////odd ?#%41 dir/tianyu.db"),
        root=Path("/odd ?#%41 dir"),
        sweep_s=0.5,
        fan_out=4,
        aperture_radii=(2.5, 4.0),
        relative_methods=("paper", "ensemble"),
        groups={"stack": "memory"},
        site="7",
    )
    for name, value in as_environment(given).items():
        monkeypatch.setenv(name, value)
    assert load() == given


def test_defaults_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TIANYU_CATALOG", raising=False)
    assert as_environment(Settings(site="here")) == {"TIANYU_SITE": "here"}
