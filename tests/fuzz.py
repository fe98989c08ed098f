"""Random programs beside what is true of them, for as long as one likes.

    python tests/fuzz.py --seconds 600 --seed 0                  # all kinds in turn
    python tests/fuzz.py --seconds 600 --kind formulas           # one of formulas, lazy, estimators
    python tests/fuzz.py --kind formulas --seed 0 --only 123     # a single case again

The cases of a seed are the same everywhere. A failing one is made smaller as long as it fails, and printed as a program.
"""

import argparse
import sys
import time
import traceback
import warnings

import numpy as np

if __package__:
    from .fuzzing import estimators, formulas, lazy
else:
    from fuzzing import estimators, formulas, lazy

KINDS = {"formulas": formulas, "lazy": lazy, "estimators": estimators}


def case(kind, seed, number):
    """Return a case of a seed."""
    return KINDS[kind].generate(np.random.default_rng([seed, number, *kind.encode()]))


def fault(case):
    """Return what is wrong with a case, None if nothing is."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return case.check()
        except Exception:
            return traceback.format_exc(limit=-3)


def smallest(case, seconds=30.0):
    """Return a case as small as it can be made while it fails in the same way: by an exception, or by a wrong value."""
    raises = "Traceback" in fault(case)
    end = time.perf_counter() + seconds
    found = True
    while found and time.perf_counter() < end:
        found = False
        for smaller in case.smaller():
            try:
                wrong = fault(smaller)
            except Exception:
                continue
            if wrong and ("Traceback" in wrong) == raises:
                case, found = smaller, True
                break
            if time.perf_counter() > end:
                break
    return case


def report(kind, seed, number, failing):
    """Return the text of a failure: how to have it again, what is wrong, and a program."""
    small = smallest(failing)
    again = f"python tests/fuzz.py --kind {kind} --seed {seed} --only {number}"
    return f"=== {again}\n{fault(small)}\n--- the smallest program\n{small.program()}\n"


def run(kinds, seed, seconds=None, cases=None):
    """Yield (kind, number, case) for cases that fail, for some seconds, or for a number of cases of each kind."""
    end = None if seconds is None else time.perf_counter() + seconds
    number = 0
    while (cases is None or number < cases) and (end is None or time.perf_counter() < end):
        for kind in kinds:
            made = case(kind, seed, number)
            if fault(made):
                yield kind, number, made
        number += 1
    print(f"{number} cases of each of {', '.join(kinds)}, seed {seed}", file=sys.stderr)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", choices=KINDS, action="append")
    parser.add_argument("--only", type=int, help="the number of a single case")
    parser.add_argument("--most", type=int, default=20, help="how many failures are told")
    options = parser.parse_args()
    kinds = options.kind or list(KINDS)
    if options.only is not None:
        failures = [(kind, options.only, made) for kind in kinds if fault(made := case(kind, options.seed, options.only))]
    else:
        failures = run(kinds, options.seed, options.seconds)
    count = 0
    for kind, number, failing in failures:
        count += 1
        if count <= options.most:
            print(report(kind, options.seed, number, failing), flush=True)
    print(f"{count} failures", file=sys.stderr)
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
