"""What a session asks the database."""

from sqlalchemy import event
from sqlalchemy.orm import Session


def statements_with(part: str, session: Session) -> list[str]:
    """A list that grows with each statement from now on that has the part."""
    found: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if part in statement:
            found.append(statement)

    event.listen(session.get_bind(), "before_cursor_execute", note)
    return found
