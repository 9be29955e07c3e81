"""Where ranges of images begin and end: about so many rows each, few of them, never more than a server takes."""

from dataclasses import replace
from itertools import pairwise

from schema.partitions import (
    ADDED_MOST,
    COPIED_MOST,
    DOUBLINGS,
    ENGINE_MOST,
    FREE_LEAST,
    IMAGES_AT_FIRST,
    IMAGES_MOST,
    ROW_BYTES,
    ROWS_PER_RANGE,
    SPARSE,
    SPARSE_LEAST,
    Partitions,
    Range,
)

NEW = Partitions("flux", (), beyond=0, newest=0)


def partitioned(*rows: int, width: int = 1000, newest: int | None = None) -> Partitions:
    """Ranges of so many images, with these rows."""
    ranges = tuple(Range(f"p{i}", (i + 1) * width, count) for i, count in enumerate(rows))
    return Partitions("flux", ranges, 0, len(rows) * width - 1 if newest is None else newest)


def test_a_new_table_gets_a_range_and_one_ahead() -> None:
    assert NEW.bounds_to_add(ROWS_PER_RANGE) == [IMAGES_AT_FIRST, 2 * IMAGES_AT_FIRST]


def test_there_is_always_a_whole_range_ahead() -> None:
    found = partitioned(0, 0, newest=0)
    assert found.needed_at(ROWS_PER_RANGE) == 1000
    assert replace(found, newest=999).bounds_to_add(ROWS_PER_RANGE) == []
    assert replace(found, newest=1000).bounds_to_add(ROWS_PER_RANGE) == [3000]


def test_ranges_are_as_wide_as_rows_ask_for() -> None:
    found = partitioned(60_000_000, 0, newest=1500)  # 60,000 rows an image
    assert found.images_per_range(ROWS_PER_RANGE) == 333
    poor = partitioned(600_000, 0, newest=1500)
    assert poor.images_per_range(ROWS_PER_RANGE) == 33_333
    assert partitioned(10, 0, newest=1500).images_per_range(ROWS_PER_RANGE) == IMAGES_MOST


def test_the_richest_of_the_last_fields_counts_and_older_ones_do_not() -> None:
    assert partitioned(600_000, 60_000_000, 600_000, 0).images_per_range(ROWS_PER_RANGE) == 333
    assert partitioned(60_000_000, 600_000, 600_000, 600_000).images_per_range(ROWS_PER_RANGE) == 33_333


def test_a_range_that_is_being_filled_counts_as_far_as_it_has_images() -> None:
    assert partitioned(6_000_000, newest=99).images_per_range(ROWS_PER_RANGE) == 333


def test_ids_that_have_gone_far_ahead_get_wide_ranges() -> None:
    bounds = partitioned(0, newest=50_000_000).bounds_to_add(ROWS_PER_RANGE)
    assert len(bounds) == ADDED_MOST
    assert bounds[-1] > 50_000_000 + IMAGES_AT_FIRST


def test_no_more_are_added_than_a_server_takes() -> None:
    nearly = partitioned(*[0] * (ENGINE_MOST - 2), newest=10**7)
    [bound] = nearly.bounds_to_add(ROWS_PER_RANGE)
    assert bound > 10**7
    full = partitioned(*[0] * (ENGINE_MOST - 1), newest=10**7)
    assert full.bounds_to_add(ROWS_PER_RANGE) == []


def test_new_ranges_are_wider_the_more_there_are_and_never_come_to_the_most() -> None:
    """20,000 sources in three apertures: 333 images a range; 8 million images would be 24,000 of them."""
    density, found = 60_000, partitioned(ROWS_PER_RANGE, width=333)
    while found.newest < 8_000_000:
        added = found.bounds_to_add(ROWS_PER_RANGE)
        assert added, f"{len(found.ranges)} ranges, and none can be added for image {found.newest}"
        starts = (found.end, *added)
        full = (Range(f"p{b}", b, density * (b - a)) for a, b in pairwise(starts))
        found = replace(found, ranges=(*found.ranges, *full), newest=added[-1] - 1)
    assert not found.is_full
    assert max(one.rows for one in found.ranges) < ROWS_PER_RANGE * 2**DOUBLINGS


def test_a_full_table_gets_room_by_merging_the_oldest_and_no_more_than_that() -> None:
    full = partitioned(*[ROWS_PER_RANGE] * (ENGINE_MOST - 1))
    assert full.to_merge(full.newest, ROWS_PER_RANGE, COPIED_MOST) == []
    groups = full.to_make_room(full.newest, ROWS_PER_RANGE)
    now = full.having_merged(groups)
    assert len(now.ranges) == ENGINE_MOST - 1 - FREE_LEAST
    assert not now.is_full
    assert groups[0][0] == full.ranges[0]
    assert max(one.rows for one in now.ranges) <= ROWS_PER_RANGE * 2**DOUBLINGS
    assert sum(one.rows for one in now.ranges) == sum(one.rows for one in full.ranges)
    assert now.bounds_to_add(ROWS_PER_RANGE)
    assert now.to_make_room(now.newest, ROWS_PER_RANGE) == []


def test_small_neighbours_become_one_and_the_table_has_room_again() -> None:
    full = partitioned(*[0] * (ENGINE_MOST - 1))
    [group] = full.to_merge(full.newest + 1, ROWS_PER_RANGE, COPIED_MOST)
    assert group == list(full.ranges)
    merged = full.having_merged([group])
    assert merged.ranges == (Range(f"below_{full.end}", full.end, 0),)
    assert len(merged.bounds_to_add(ROWS_PER_RANGE)) == 1


def test_what_is_merged_stays_below_a_range_and_below_what_may_be_copied() -> None:
    found = partitioned(0, 0, 900_000, 200_000, 300_000, 30_000_000, 0, 0)
    names = [[one.name for one in group] for group in found.to_merge(10**6, ROWS_PER_RANGE, COPIED_MOST)]
    assert names == [["p0", "p1", "p2"], ["p3", "p4"], ["p6", "p7"]]
    assert [len(group) for group in found.to_merge(10**6, 100_000, COPIED_MOST)] == [2, 2]
    assert [one.rows for one in found.having_merged(found.to_merge(10**6, ROWS_PER_RANGE, ROWS_PER_RANGE)).ranges] == [
        1_400_000,
        30_000_000,
        0,
    ]


def test_ranges_whose_images_are_still_measured_stay() -> None:
    assert partitioned(0, 0, 0, 0).to_merge(2500, ROWS_PER_RANGE, COPIED_MOST) == [
        list(partitioned(0, 0).ranges),
    ]


def test_what_holds_few_rows_in_much_room_is_written_anew() -> None:
    large, few = 100_000_000, 10_000
    sizes = {  # rows and bytes of a range, and whether it is written anew
        (few, large): True,
        (few, SPARSE_LEAST): False,
        (COPIED_MOST, SPARSE * ROW_BYTES * COPIED_MOST): False,
        (COPIED_MOST, SPARSE * ROW_BYTES * COPIED_MOST + 1): True,
        (COPIED_MOST + 1, 10 * large): False,  # nobody could write for too long
    }
    for (rows, size), wanted in sizes.items():
        one = replace(partitioned(rows).ranges[0], size_bytes=size)
        found = Partitions("flux", (one,), 0, 1000)
        assert found.to_write_anew(1000, COPIED_MOST) == [one] * wanted, (rows, size)
        assert found.to_write_anew(999, COPIED_MOST) == []  # its images are still measured
