from __future__ import annotations

from valkeykit.breaker import CircuitBreaker


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_it_opens_after_failures_in_a_row_and_lets_one_call_try() -> None:
    clock = Clock()
    breaker = CircuitBreaker(failures=2, cooldown=1.0, clock=clock)
    breaker.failed()
    breaker.succeeded()
    breaker.failed()
    assert breaker.allows()
    breaker.failed()
    assert breaker.is_open
    assert not breaker.allows()
    clock.now = 1.5
    assert [breaker.allows(), breaker.allows()] == [True, False]
    breaker.succeeded()
    assert breaker.allows()
    assert not breaker.is_open


def test_a_failed_try_keeps_it_open() -> None:
    clock = Clock()
    breaker = CircuitBreaker(failures=1, cooldown=1.0, clock=clock)
    breaker.failed()
    clock.now = 1.1
    assert breaker.allows()
    breaker.failed()
    clock.now = 2.0
    assert not breaker.allows()
