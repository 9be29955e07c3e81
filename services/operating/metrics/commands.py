"""Names of commands as labels: those of the steps, so that there are never many."""

from services.steps import STEPS

OTHER = "other"


def command_label(command: str) -> str:
    """The command, or ``OTHER`` for one that this version does not know."""
    return command if command in STEPS else OTHER
