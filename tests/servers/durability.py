"""How much of a private MariaDB or MySQL survives a power cut: all, as in the field, or what a test needs."""

_ALL = ("--innodb-flush-log-at-trx-commit=1",)
# What survives the death of the server alone; a third of the time of a migration was the disk's.
_OF_A_TEST = ("--innodb-flush-log-at-trx-commit=2", "--innodb-flush-method=nosync", "--innodb-doublewrite=OFF")


def options(*, durable: bool) -> tuple[str, ...]:
    """Of the server's command line."""
    return _ALL if durable else _OF_A_TEST
