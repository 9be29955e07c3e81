"""The tree in which many images are combined a few at a time."""

from pipeline.errors import UnusableDataError

FAN_OUT = 5  # images combined at once, as in the Tianyu paper
MINIMUM_FAN_OUT = 3  # with 2, an odd number leaves a node with a single child


def fan_in(n: int, fan_out: int = FAN_OUT) -> list[list[range]]:
    """Levels of a tree over n leaves, from the leaves' parents up to the root, with balanced groups.

    Each level is a list of nodes; a node is the range of its children's indices in the level below (leaves for the
    first level). Every child has one parent, a node has at most ``fan_out`` children and at least two (but for n = 1,
    whose one node has the one leaf), and the sizes of a level's nodes differ by at most one.
    Raises UnusableDataError for n < 1, ValueError for fan_out < 3.
    """
    if n < 1:
        raise UnusableDataError(f"{n} images to combine, expected at least one: check which frames were registered")
    if fan_out < MINIMUM_FAN_OUT:
        raise ValueError(f"fan-out {fan_out}, expected at least {MINIMUM_FAN_OUT}")
    levels = []
    while True:
        groups = -(-n // fan_out)
        edges = [n * i // groups for i in range(groups + 1)]
        levels.append([range(edges[i], edges[i + 1]) for i in range(groups)])
        if groups == 1:
            return levels
        n = groups
