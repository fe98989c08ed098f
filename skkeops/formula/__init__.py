"""The formula language: text to expression to derivative. It knows no arrays.

>>> from skkeops.formula import parse, parse_aliases, gradient
>>> signature = parse_aliases(["x = Vi(3)", "y = Vj(3)"])
>>> f = parse("Exp(-SqDist(x,y))", signature.by_name)
>>> f
Exp(-Sum(Square(Var(0,3,0)-Var(1,3,1))))
"""

from . import calculus, operations
from .aliases import Signature, parse_aliases
from .derivative import gradient, gradient_matrix, gradients, substitute, tangent
from .enclosure import Bounds, bounds
from .errors import FormulaError
from .expression import Constant, Expression, I, J, P, Variable, as_expression, postorder, variables_of
from .linear import divergence, laplacian
from .parser import parse

__all__ = [
    "Bounds",
    "Constant",
    "Expression",
    "FormulaError",
    "I",
    "J",
    "P",
    "Signature",
    "Variable",
    "as_expression",
    "bounds",
    "calculus",
    "divergence",
    "gradient",
    "gradient_matrix",
    "gradients",
    "laplacian",
    "operations",
    "parse",
    "parse_aliases",
    "postorder",
    "substitute",
    "tangent",
    "variables_of",
]
