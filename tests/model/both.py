"""The model and the database side by side: the same operation on both, the same result, the same facts."""

from typing import Any

from tests.model.facts import check, facts_of
from tests.model.reference import Model
from tests.model.sql import Sql


class Both:
    """Performs each operation on the database, then on the model, and compares what they say."""

    def __init__(self, sql: Sql, model: Model) -> None:
        self.sql = sql
        self.model = model

    def perform(self, operation: str, *arguments: Any) -> Any:
        """Do it on both; returns the result that both agree on."""
        found = getattr(self.sql, operation)(*arguments)
        if operation in ("publish", "retry"):  # where the queries have a choice, the model says whether it is allowed
            arguments = (*arguments, found)
        expected = getattr(self.model, operation)(*arguments)
        if operation in ("expire", "expire_one", "let_delays_end", "pause", "resume"):
            return None
        assert found == expected, f"{operation}{arguments}: found {found}, expected {expected}"
        return found

    def compare(self) -> None:
        """The database holds what the model says, and that is sound."""
        found, expected = self.sql.facts(), facts_of(self.model)
        assert found == expected, f"found {found}\nexpected {expected}"
        check(found, {pid: (row.node.required, row.node.optional) for pid, row in self.model.rows.items()})
