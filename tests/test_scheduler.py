"""Requests ahead of need: the nearest first, all pages of what comes next, and within bounds."""

from __future__ import annotations

import threading
from itertools import count
from typing import TYPE_CHECKING

import pytest

from tap_factorialhr.envelope import Page
from tap_factorialhr.listing import Request
from tap_factorialhr.reading import Prefetch
from tap_factorialhr.scheduler import Job, Scheduler
from tests.support.partitions import FunctionClient, Rounds, fetching, ids_of, page_of, partition, until_idle

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tap_factorialhr.partitions import Partition
    from tap_factorialhr.reading import Flow
    from tap_factorialhr.walk import Pagination

FOUR = 4
"""The concurrency of most tests."""


def test_children_of_many_parents_fill_all_threads_with_all_their_pages() -> None:
    """A hundred parents with two pages of children each, in at most a fifth of the rounds of one after the other."""
    client = Rounds(lambda asked: page_of(asked, pages=2))
    with fetching(client, concurrency=8) as fetcher, client.kept_going(fetcher):
        walk = fetcher.walk("children", "id", (partition(one, filtered=True) for one in range(100)))
        assert ids_of(walk) == ["1", "2"] * 100
    assert len(client.asked) == 200
    assert len(client.sizes) <= 200 / 5
    assert max(client.sizes) == 8


def test_one_after_the_other_is_one_request_a_round() -> None:
    client = Rounds(lambda asked: page_of(asked, pages=2))
    with fetching(client, concurrency=1) as fetcher, client.kept_going(fetcher):
        walk = fetcher.walk("children", "id", (partition(one, filtered=True) for one in range(10)))
        assert ids_of(walk) == ["1", "2"] * 10
    assert client.sizes == [1] * 20


@pytest.mark.parametrize("pagination", ["offset", "cursor"])
def test_all_pages_of_the_streams_that_come_next_are_read_ahead(pagination: Pagination) -> None:
    client = FunctionClient(lambda asked: page_of(asked, pages=5, has_cursor=pagination == "cursor"))
    with fetching(client, concurrency=FOUR, pagination=pagination) as fetcher:
        current, following = (fetcher.walk(name, "id", [partition(1)]) for name in ("current", "following"))
        fetcher.begin_ahead([following])
        taken = iter(current)
        next(taken)
        until_idle(fetcher)
        ahead = client.asked_for("following")
        assert ahead == (7 if pagination == "offset" else 5)  # Without cursors the ends are looked at twice.
        assert len(list(taken)) == 4
        assert ids_of(following) == ["1", "2", "3", "4", "5"]
        assert client.asked_for("following") == ahead


def test_the_nearest_goes_first() -> None:
    """Each thread that is free takes what is needed next: of the stream whose turn it is, of its next partitions, and
    then of the streams after it, the nearest first."""
    client = Rounds(lambda asked: page_of(asked, pages=3))
    with fetching(client, concurrency=FOUR, pagination="cursor") as fetcher, client.kept_going(fetcher):
        walks = [fetcher.walk(name, "id", [partition(1), partition(2)]) for name in "abc"]
        fetcher.begin_ahead(walks[1:])
        for walk in walks:
            ids_of(walk)
    order = [str(asked) for asked in client.asked]
    rounds = [set(order[begin : begin + 4]) for begin in range(0, len(order), 4)]
    assert rounds[0] == {"a1:+", "a2:+", "b1:+", "b2:+"}
    assert rounds[1] == {"a1:1+", "a2:1+", "b1:1+", "b2:1+"}
    assert rounds[3] == {"c1:+", "c2:+"} or rounds[3] >= {"c1:+", "c2:+"}


def test_a_page_that_is_needed_now_does_not_wait_for_those_that_come_later() -> None:
    """A chain of cursors keeps its thread, however much there is to read ahead."""
    client = Rounds(lambda asked: page_of(asked, pages=20))
    with fetching(client, concurrency=2, pagination="cursor") as fetcher, client.kept_going(fetcher):
        current = fetcher.walk("current", "id", [partition(1)])
        fetcher.begin_ahead([fetcher.walk("following", "id", map(partition, range(100)))])
        assert len(ids_of(current)) == 20
    assert len(client.sizes) == 20


# Bounds


def test_of_the_stream_whose_turn_it_is_so_many_pages_wait_at_the_most() -> None:
    client = FunctionClient(lambda asked: page_of(asked, pages=100, has_cursor=False))
    with fetching(client, concurrency=FOUR) as fetcher:
        taken = iter(fetcher.walk("current", "id", [partition(1)]))
        next(taken)
        until_idle(fetcher)
        assert len(client.asked) == 2 + 2 * FOUR  # The first page, the last one, and those in between.
        next(taken)
        until_idle(fetcher)
        assert len(client.asked) == 3 + 2 * FOUR


def test_of_all_streams_that_come_next_so_many_pages_wait_at_the_most() -> None:
    client = FunctionClient(lambda asked: page_of(asked, pages=1 if asked["part"] != "0" else 30))
    with fetching(client, concurrency=FOUR, pagination="cursor") as fetcher:
        current = fetcher.walk("current", "id", [partition(0)])
        fetcher.begin_ahead([fetcher.walk(f"following {one}", "id", map(partition, range(1, 6))) for one in range(20)])
        for _ in current:
            until_idle(fetcher)
    assert len(client.asked) - client.asked_for("current") == 4 * FOUR


def test_an_answer_of_many_rows_counts_for_as_many_pages() -> None:
    client = FunctionClient(lambda asked: page_of(asked, pages=1, rows=5))
    with fetching(client, concurrency=FOUR) as fetcher:
        next(iter(fetcher.walk("current", "id", map(partition, range(100)))))
        until_idle(fetcher)
        assert len(client.asked) <= 1 + FOUR  # Those that were in flight when the first of them had come.


def test_partitions_are_not_drawn_long_before_they_can_be_read() -> None:
    drawn = count()

    def partitions() -> Iterator[Partition]:
        for number in range(10_000):
            next(drawn)
            yield partition(number)

    client = FunctionClient(lambda asked: page_of(asked, pages=1))
    with fetching(client, concurrency=FOUR) as fetcher:
        current, following = (fetcher.walk(name, "id", partitions()) for name in ("current", "following"))
        fetcher.begin_ahead([following])
        taken = iter(current)
        for _ in range(10):
            next(taken)
            until_idle(fetcher)
    assert next(drawn) <= 10 + 2 * FOUR + 4 * FOUR


def test_one_at_a_time_means_that_nothing_runs_ahead_but_the_next_page() -> None:
    """That one is on its way while the rows of the one before are written."""
    client = FunctionClient(lambda asked: page_of(asked, pages=5))
    with fetching(client, concurrency=1) as fetcher:
        fetcher.begin_ahead([fetcher.walk("following", "id", [partition(1)])])
        taken = iter(fetcher.walk("current", "id", [partition(1), partition(2)]))
        for taken_pages in range(1, 5):
            next(taken)
            until_idle(fetcher)
            asked = len(client.asked)
            assert asked <= taken_pages + 2  # One of them is the last page, which has been looked at.
        assert client.asked_for("following") == 0
        assert all(asked.params["part"] == "1" for asked in client.asked)


def test_what_a_walk_that_is_left_had_asked_for_is_forgotten() -> None:
    client = FunctionClient(lambda asked: page_of(asked, pages=50))
    with fetching(client, concurrency=FOUR) as fetcher:
        walk = fetcher.walk("current", "id", [partition(1)])
        taken = iter(walk)
        next(taken)
        taken.close()  # type: ignore[attr-defined]
        until_idle(fetcher)
        assert not walk.jobs


def test_nothing_is_sent_once_it_is_closed() -> None:
    client = Rounds(lambda asked: page_of(asked, pages=50))
    with fetching(client, concurrency=FOUR, pagination="cursor") as fetcher, client.kept_going(fetcher):
        taken = iter(fetcher.walk("current", "id", map(partition, range(50))))
        next(taken)
        fetcher.close()
        asked = len(client.asked)
        client.answer_all()
        until_idle(fetcher)
        assert len(client.asked) == asked


def test_any_flow_can_be_run() -> None:
    """What was dropped and is asked for again is sent again: its first answer may be older than what dropped it."""
    one, other = Request((("part", "1"),)), Request((("part", "2"),))

    def flow() -> Flow:
        yield Prefetch((other, one))
        yield (yield one)
        yield Prefetch()
        yield (yield other)

    def send(request: Request) -> Page:
        sent.append(request)
        times = sent.count(request)
        if request == other and times == 1:
            assert is_dropped.wait(30)
        elif request == other:
            with scheduler._changed:  # The first answer comes before the second.
                assert scheduler._changed.wait_for(lambda: scheduler._in_flight == 1, 30)
        return Page.from_response({"data": [{"id": times}], "meta": {}})

    sent: list[Request] = []
    is_dropped = threading.Event()
    scheduler = Scheduler(2)
    source = OneJob(Job(scheduler, flow(), send, 1))
    with scheduler.turn_of(source):
        pages = iter(source.jobs[0])
        assert next(pages).rows == [{"id": 1}]
        is_dropped.set()
        assert next(pages).rows == [{"id": 2}]
    scheduler.close()


def test_what_threads_change_is_looked_at_under_the_lock_alone() -> None:
    class Watched(Job):
        @property
        def weight(self) -> int:
            assert scheduler._changed._is_owned()  # type: ignore[attr-defined]
            return super().weight

    def flow() -> Flow:
        for number in range(10):
            yield (yield Request((("part", str(number)),)))

    scheduler = Scheduler(2)
    current, following = (
        OneJob(Watched(scheduler, flow(), lambda _: Page.from_response({"data": []}), 1)) for _ in range(2)
    )
    scheduler.upcoming = [following]
    with scheduler.turn_of(current):
        assert len(list(current.jobs[0])) == 10
    scheduler.close()


def test_an_interruption_is_noticed_while_a_page_is_waited_for() -> None:
    is_over = threading.Event()
    looks = count()

    def check() -> None:
        if next(looks):
            raise KeyboardInterrupt

    def flow() -> Flow:
        yield (yield Request(()))

    def send(_: Request) -> Page:
        is_over.wait(30)
        return Page.from_response({"data": []})

    scheduler = Scheduler(1, check)
    source = OneJob(Job(scheduler, flow(), send, 1))
    with scheduler.turn_of(source), pytest.raises(KeyboardInterrupt):
        next(iter(source.jobs[0]))
    is_over.set()
    scheduler.close()


class OneJob:
    def __init__(self, job: Job) -> None:
        self.jobs = [job]

    def start_next(self) -> bool:
        return False


def test_what_goes_wrong_in_a_thread_is_raised_where_its_page_would_be_taken() -> None:
    def answer(asked: dict[str, str]) -> dict[str, object]:
        if asked["part"] == "2":
            raise ZeroDivisionError
        return page_of(asked, pages=2)

    client = FunctionClient(answer)
    with fetching(client, concurrency=FOUR) as fetcher:
        taken = iter(fetcher.walk("current", "id", [partition(1), partition(2)]))
        assert [page.rows[0]["id"] for _, page, _ in (next(taken), next(taken))] == ["1", "2"]  # type: ignore[index]
        with pytest.raises(ZeroDivisionError):
            next(taken)


def test_what_is_called_beside_the_reading_can_be_ended_by_a_signal() -> None:
    released, ends = threading.Event(), False

    def check() -> None:
        if ends:
            raise KeyboardInterrupt

    scheduler = Scheduler(1, check)
    assert scheduler.call(lambda: 5) == 5
    ends = True
    with pytest.raises(KeyboardInterrupt):
        scheduler.call(lambda: released.wait(30))
    released.set()
    scheduler.close()
