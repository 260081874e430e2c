"""Work in threads: order, errors, and work that starts work."""

from __future__ import annotations

import threading
import time

import pytest

from processing.parallel import each_in_threads, map_in_threads, over_blocks

LIMITS = ["1", "2", "5"]


@pytest.fixture(params=LIMITS, ids=lambda threads: f"{threads} threads")
def threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DUALTILT_THREADS", request.param)


@pytest.mark.usefixtures("threads")
class TestThreads:
    def test_results_come_in_the_order_of_the_items(self) -> None:
        def slow_if_early(item: int, factor: int) -> int:
            time.sleep(0.002 * (6 - item))
            return item * factor

        assert each_in_threads(slow_if_early, range(6), [10] * 6) == [0, 10, 20, 30, 40, 50]

    def test_work_may_start_work(self) -> None:
        def sum_of(items: range) -> int:
            return sum(each_in_threads(int, items))

        assert each_in_threads(sum_of, [range(n) for n in range(8)]) == [
            0, 0, 1, 3, 6, 10, 15, 21,
        ]  # fmt: skip

    def test_every_slice_belongs_to_one_block(self) -> None:
        seen: list[int] = []
        over_blocks(lambda part: seen.extend(range(part.start, part.stop)), 23, 4)
        assert sorted(seen) == list(range(23))

    def test_after_an_error_nothing_runs_any_more(self) -> None:
        running: set[int] = set()

        def fail_at_two(item: int) -> None:
            running.add(item)
            time.sleep(0.005)
            running.discard(item)
            if item == 2:
                raise ValueError("two")

        with pytest.raises(ValueError, match="two"):
            each_in_threads(fail_at_two, range(40))
        assert not running

    def test_no_more_threads_than_asked_for(self) -> None:
        running: set[int] = set()
        together: list[int] = []

        def note(item: int) -> None:
            running.add(item)
            time.sleep(0.001)
            together.append(len(running))
            running.discard(item)

        each_in_threads(note, range(20), at_most=1)
        assert max(together) == 1

    def test_a_caller_that_stops_early_leaves_nothing_behind(self) -> None:
        done: list[int] = []

        def note(item: int) -> int:
            time.sleep(0.002)
            done.append(item)
            return item

        results = map_in_threads(note, range(40))
        assert next(results) == 0
        results.close()
        stopped = len(done)
        time.sleep(0.01)
        assert len(done) == stopped < 40

    def test_callers_in_several_threads_get_their_own_results(self) -> None:
        found: dict[int, list[int]] = {}

        def call(number: int) -> None:
            found[number] = each_in_threads(lambda item: item + number, range(9))

        callers = [threading.Thread(target=call, args=(number,)) for number in range(6)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
        assert found == {number: list(range(number, number + 9)) for number in range(6)}
