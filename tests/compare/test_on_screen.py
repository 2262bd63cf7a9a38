"""Places in the face grid: nobody shares one, everybody comes back to theirs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from refrestore.compare.on_screen import MOST_PLACES, presences, seat
from refrestore.types import Identity, Track


def person(number: int, *tracks: int, state: str = "restore") -> Identity:
    return Identity(number, f"person {number}", state, tracks, 1.0, 10, 0)  # type: ignore[arg-type]


def track(number: int, first: int, stop: int) -> Track:
    return Track(number, 0, first, stop, None, 0.0, 0.5, 50.0, weak=False)


spans = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 200), st.integers(1, 80)), min_size=1, max_size=30
)


@given(spans)
def test_no_two_people_share_a_place_at_a_time(rows: list[tuple[int, int, int]]) -> None:
    tracks = [track(number, first, first + size) for number, (_, first, size) in enumerate(rows)]
    people = [
        person(one, *(number for number, row in enumerate(rows) if row[0] == one))
        for one in range(5)
    ]
    found = presences(people, tracks, 0, 1000, gap=25)
    seats, left_out = seat(found)
    assert left_out == 0
    assert len(seats) == len(found)
    for index, one in enumerate(seats):
        for other in seats[index + 1 :]:
            apart = (
                one.presence.stop <= other.presence.first
                or other.presence.stop <= one.presence.first
            )
            assert apart or one.place != other.place
    covered = {number for one in seats for number in one.presence.tracks}
    assert covered == set(range(len(rows)))


def test_somebody_who_comes_back_sits_where_they_sat() -> None:
    tracks = [track(0, 0, 50), track(1, 10, 60), track(2, 200, 300), track(3, 210, 300)]
    found = presences([person(7, 0, 3), person(8, 1, 2)], tracks, 0, 400, gap=25)
    places = {(one.presence.identity.id, one.presence.first): one.place for one in seat(found)[0]}
    assert places[7, 0] == places[7, 210]
    assert places[8, 10] == places[8, 200]


def test_a_small_gap_is_one_stretch_and_a_large_one_two() -> None:
    tracks = [track(0, 0, 50), track(1, 60, 90), track(2, 200, 210)]
    found = presences([person(1, 0, 1, 2)], tracks, 0, 400, gap=25)
    assert [(one.first, one.stop, one.tracks) for one in found] == [
        (0, 90, (0, 1)),
        (200, 210, (2,)),
    ]


def test_the_ignored_and_the_others_of_a_crowd_are_left_out() -> None:
    crowd = [person(number, number) for number in range(MOST_PLACES + 3)]
    tracks = [track(number, 0, 10) for number in range(MOST_PLACES + 3)]
    seats, left_out = seat(presences(crowd, tracks, 0, 10, gap=5))
    assert (len(seats), left_out) == (MOST_PLACES, 3)
    assert presences([person(0, 0, state="ignore")], tracks, 0, 10, gap=5) == []


def test_only_the_frames_that_are_compared_count() -> None:
    tracks = [track(0, 0, 50), track(1, 300, 320)]
    found = presences([person(1, 0, 1)], tracks, 40, 100, gap=5)
    assert [(one.first, one.stop) for one in found] == [(40, 50)]
