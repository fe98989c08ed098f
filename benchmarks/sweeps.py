"""``python -m benchmarks.sweeps``: a value and all gradients, in passes: how many forward calls they cost together; and what a
sum over the pairs of points with themselves costs beside one of two sets.

What is compared takes turns. The variables are points i and j, weights j and a parameter.
"""

from __future__ import annotations

import argparse

import numpy as np

from skkeops import Genred

from .timing import take_turns

FORMULAS = {"Sum": "Exp(-p * SqDist(x, y)) * b", "LogSumExp": "b - p * SqDist(x, y)"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer points, for a shorter time")
    arguments = parser.parse_args()
    n, seconds = (1000, 0.2) if arguments.quick else (10_000, 6.0)
    print(f"{n} x {n} pairs      forward   value and gradients by x, y, b, p   passes")
    for op, formula in FORMULAS.items():
        for d in (3, 10):
            for dtype in ("float32", "float64"):
                rng = np.random.default_rng(0)
                shapes = ((1,), (n, d), (n, d), (n, 1))
                p, x, y, b = (rng.random(shape).astype(dtype) for shape in shapes)
                e = rng.random((n, 1)).astype(dtype)
                f = Genred(formula, ["p = Pm(1)", f"x = Vi({d})", f"y = Vj({d})", "b = Vj(1)"], op, axis=1)

                def forward(f=f, args=(p, x, y, b)):
                    return f(*args)

                def everything(f=f, args=(p, x, y, b), e=e):
                    return f.value_and_gradient(*args, wrt=("x", "y", "b", "p"), grad_output=e)

                one, all_of_it = take_turns([forward, everything], seconds, 6)
                print(f"{op:10} D={d:<3}{dtype:10}{one * 1e3:8.1f} ms{all_of_it * 1e3:20.1f} ms{all_of_it / one:25.2f}", flush=True)
    print(f"{n} x {n} pairs      two sets   one set with itself   share")
    for d in (3, 10):
        for dtype in ("float32", "float64"):
            rng = np.random.default_rng(0)
            p, x, b = (rng.random(shape).astype(dtype) for shape in ((1,), (n, d), (n, 1)))
            f = Genred(FORMULAS["Sum"], ["p = Pm(1)", f"x = Vi({d})", f"y = Vj({d})", "b = Vj(1)"], axis=1)
            y = x.copy()
            both, half = take_turns([lambda f=f, a=(p, x, y, b): f(*a), lambda f=f, a=(p, x, x, b): f(*a)], seconds, 6)
            print(f"{'Sum':10} D={d:<3}{dtype:10}{both * 1e3:8.1f} ms{half * 1e3:19.1f} ms{half / both:8.2f}", flush=True)


if __name__ == "__main__":
    main()
