"""The service on servers: the same pages, by connections that cannot write, whoever's login they have."""

from pathlib import Path

import numpy as np
import pytest
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from services.settings import Settings
from services.web.served import STATEMENT_S, Served
from tests.integration.web.asking import asking
from tests.unit.services import made_up

LIMITS = {"sqlite": None, "mariadb": "max_statement_time", "mysql": "max_execution_time"}


def test_pages_are_made_and_nothing_is_written(any_session: Session, each_ready_url: str, tmp_path: Path) -> None:
    made = made_up.add_light_curves(any_session, made_up.add_observation(any_session), np.random.default_rng(1))
    any_session.commit()
    settings = Settings(database_url=SecretStr(each_ready_url), root=tmp_path)
    with asking(settings) as client:
        number = made.observation_id
        for path in ("/", f"/observation/{number}", f"/observation/{number}/field", f"/star/{made.variable}", "/work"):
            assert client.get(path).status_code == 200, path
        [curve] = client.get(f"/star/{made.variable}/curve.json").json()["curves"]
        assert curve["image_id"] == made.image_ids.tolist()
        assert set(map(int, curve["reasons"])) == set(made.image_ids[~made.good].tolist())
        assert len(client.get(f"/observation/{number}/stars.json").json()["source_id"]) == made.flux.size
    served = Served.open(settings)
    try:
        for line in ("UPDATE observation SET graph_pid = NULL", "DELETE FROM flux", "DROP TABLE flux"):
            with served.engine.connect() as connection, pytest.raises(DBAPIError, match=r"(?i)read.?only"):
                connection.execute(text(line))
        dialect = served.engine.dialect
        if limit := LIMITS["mariadb" if getattr(dialect, "is_mariadb", False) else dialect.name]:
            with served.engine.connect() as connection:
                found = float(connection.execute(text(f"SELECT @@SESSION.{limit}")).scalar_one())
            assert found == (STATEMENT_S if limit == LIMITS["mariadb"] else 1000 * STATEMENT_S)
    finally:
        served.close()
