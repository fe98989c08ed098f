"""Plans: what is computed once, per row, per reduced point and per pair; decided here for all backends.

* `problem`: what is to be computed, before anyone decides how.
* `homes`: what an expression depends on, and with it how often it is computed.
* `terms`: sums taken apart, so that as little as possible is done for every pair.
* `selections`: components that are only picked from elsewhere, as runs.
* `plan`: the result, from which a backend makes its program.
"""

from .plan import Plan, make_plan
from .problem import Problem

__all__ = ["Plan", "Problem", "make_plan"]
