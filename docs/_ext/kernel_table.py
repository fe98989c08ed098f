"""``.. kernel-table::``: all kernels of `skkeops.kernels`, from their classes."""

from __future__ import annotations

import inspect
import re

from rst import Generated, table

from skkeops import kernels
from skkeops.kernels import convert

_MODULES = ["stationary", "matern", "periodic", "products", "histograms", "constants"]
_COMPOSITE = (kernels.Sum, kernels.Product, kernels.Exponentiation, kernels.Formula)


def classes() -> list[type]:
    """Return the kernels that have a formula of their own, in the order of `skkeops.kernels`' source."""
    found = [value for value in vars(kernels).values() if isinstance(value, type) and issubclass(value, kernels.Kernel)]
    return [cls for cls in dict.fromkeys(found) if cls is not kernels.Kernel and cls not in _COMPOSITE]


class KernelTable(Generated):
    package = "skkeops.kernels"

    def lines(self):
        rows = []
        for cls in sorted(classes(), key=lambda cls: (_MODULES.index(cls.__module__.rpartition('.')[2]), _line(cls))):
            rows.append([f":class:`~skkeops.kernels.{cls.__name__}`", formula(cls), parameters(cls), pairwise(cls)])
        header = ["Kernel", "k(x, y)", "Parameters", "scikit-learn"]
        return table(header, rows, "kernels", "22 36 18 24")


def formula(cls) -> str:
    """The displayed formula of the docstring."""
    match = re.search(r"\.\. math::(.*?)\n(?=\S)", inspect.getdoc(cls), re.DOTALL)
    text = " ".join(match[1].split()) if match else ""
    text = re.sub(r"^k\(x(_i)?, [xy](_j)?\) = ", "", text)
    # several formulas stand below each other
    return "\n\n".join(f":math:`{part.strip()}`" for part in re.split(r", \\quad", text))


def parameters(cls) -> str:
    names = [p for p in inspect.signature(cls).parameters if not p.endswith("_bounds")]
    return ", ".join(f"``{name}``" for name in names)


def pairwise(cls) -> str:
    """The names of scikit-learn that mean it."""
    found = [f'``"{name}"``' for name, build in convert.PAIRWISE.items() if type(build(1.0, 3, 1.0)) is cls]
    doc = inspect.getdoc(cls).partition("\n\n")[0]
    for name in ("ConstantKernel", "WhiteKernel", "RBF", "Matern", "DotProduct"):
        if f"scikit-learn's ``{name}``" in " ".join(doc.split()):
            found.append(f"``{name}``")
    if cls in (kernels.RationalQuadratic, kernels.ExpSineSquared):
        found.append(f"``{cls.__name__}``")
    return ", ".join(found)


def _line(cls) -> int:
    return inspect.getsourcelines(cls)[1]


def setup(app):
    app.add_directive("kernel-table", KernelTable)
    return {"parallel_read_safe": True}
