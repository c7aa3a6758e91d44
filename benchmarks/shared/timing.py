"""What the benchmarks share: variants timed in turns, and one line a claim."""

import math
import time
from collections.abc import Callable


def interleaved(variants: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Least process time of each variant, all of them run once before any is run again.

    Other work on the machine can only add to a time, so the least is the steadiest.
    """
    best = dict.fromkeys(variants, math.inf)
    for _ in range(repeats):
        for name, run in variants.items():
            started = time.process_time()
            run()
            best[name] = min(best[name], time.process_time() - started)
    return best


def claim(name: str, measured: float, bar: float, at_least: bool = False) -> bool:
    """One line a claim: what was measured, the bar, and whether it holds."""
    good = measured >= bar if at_least else measured <= bar
    print(f"CLAIM {name} {measured:.3g} {bar:.3g} {'ok' if good else 'SHORT'}", flush=True)
    return good
