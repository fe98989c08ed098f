"""The order of the day: what is worth most comes first, and a step that breaks leaves the others theirs."""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from . import correct, grid, machine, rates, skipping, tools, zoo
from .run import Run, Skipped
from .tables import say_aims, say_times, write_page
from .warm import warm_up

__all__ = ["STEPS", "Day"]


class Step(NamedTuple):
    """A step.

    Attributes
    ----------
    run : callable
        Takes the day; returns False if a result is wrong.
    seconds : float
        It is not begun with less time left.
    needs_right : bool
        Whether it means nothing after a wrong result.
    """

    run: Callable[[Day], Any]
    seconds: float = 0.0
    needs_right: bool = False


class Day:
    """All steps of a run, and what they have found.

    Parameters
    ----------
    run : Run
    keep_going : bool
        Whether to time what is not right.
    without : collection of str
        Steps that are left out.
    """

    def __init__(self, run: Run, keep_going: bool = False, without: tuple[str, ...] = ()):
        self.run, self.keep_going, self.without = run, keep_going, without
        self.right = True
        self.rates: Any = None
        self.rows: list[dict] = []
        self.device = "a dry run" if run.dry else machine.device_name(run.cupy)

    def go(self) -> bool:
        """Run the steps in their order; return whether no result was wrong."""
        done = list(self.without)
        for name, step in STEPS.items():
            if name in done or (step.needs_right and not (self.right or self.keep_going)):
                continue
            if self.run.left < step.seconds and not self.run.dry:
                self.run.say(f"{name}: not begun, as {self.run.left:.0f} s are left")
                continue
            self._try(name, step)
            done.append(name)
            self._go_on_if_lost(done)
        say_times(self.run, self.rows)
        say_aims(self.run, self.rows)
        return self.right

    def _try(self, name: str, step: Step) -> None:
        begin = time.monotonic()
        try:
            self.right &= step.run(self) is not False
        except Skipped as reason:
            self.run.say(str(reason))
        except Exception as error:
            traceback.print_exc()
            self.right = False
            self.run.say(f"BROKEN {name}: {type(error).__name__}: {str(error)[:300]}")
        self.run.say(f"[{name}: {time.monotonic() - begin:.0f} s, {self.run.left:.0f} s left]")
        self._write()

    def _write(self) -> None:
        about = {"device": self.device, "right": self.right, "dry_run": self.run.dry, "sentences": self.run.sentences}
        self.run.write_json("summary.json", {**about, "rows": self.rows, "aims": grid.aims(self.rows)})
        if self.rows:
            write_page(self.run, self.device, self.rows)

    def _go_on_if_lost(self, done: list[str]) -> None:
        """Go on in a new process where a kernel has left the device's context unusable, which nothing else mends."""
        cupy = self.run.cupy
        try:
            cupy.cuda.runtime.deviceSynchronize()
            cupy.asarray(np.arange(3.0)).get()
        except Exception as error:
            self.run.say(f"the context is lost, a new process goes on: {type(error).__name__}: {str(error)[:200]}")
            self._write()
            options = ["--out", str(self.run.out), "--seconds", f"{self.run.left:.0f}", "--keep-going", "--without", *done]
            os.execv(sys.executable, [sys.executable, "-m", "benchmarks.gpu_day", *options])

    def _measure(self) -> None:
        self.rates = rates.measure(self.run)

    def _time(self, *peers: str) -> None:
        if self.rates is None:  # the rates of an H200's data sheet
            self.rates = rates.Rates({}, 132, 1.98e9)
        grid.time_all(self.run, self.rates, self.rows, peers)
        say_times(self.run, self.rows)


STEPS: dict[str, Step] = {
    "machine": Step(lambda day: machine.describe(day.run)),
    "warm": Step(lambda day: warm_up(day.run)),
    "zoo": Step(lambda day: zoo.check_kernels(day.run)),
    "correct": Step(lambda day: correct.check(day.run)),
    "rates": Step(Day._measure, needs_right=True),
    "rows": Step(lambda day: day._time("KeOps"), 60, needs_right=True),
    "skipping": Step(lambda day: skipping.compare(day.run), 55, needs_right=True),
    "sanitizer": Step(lambda day: tools.sanitize(day.run), 30),
    "tests": Step(lambda day: correct.tests(day.run), 30),
    "peers": Step(lambda day: day._time("torch in chunks", "CuPy in chunks"), 30, needs_right=True),
    "profile": Step(lambda day: tools.profile(day.run), 30),
}
