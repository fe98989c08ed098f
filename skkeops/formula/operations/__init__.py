"""The operations of the language, each defined once.

``registry`` maps the name of every operation to its definition; ``lookup(name)`` also knows aliases.
"""

from ..registry import lookup, register, registry
from .arithmetic import Add, Divide, Minus, Mult, Subtract
from .base import Composite, Operation, composite
from .complex_numbers import (
    ComplexAbs,
    ComplexAdd,
    ComplexAngle,
    ComplexDivide,
    ComplexExp,
    ComplexExp1j,
    ComplexInv,
    ComplexLog,
    ComplexMult,
    ComplexPow,
    ComplexRealScal,
    ComplexScal,
    ComplexSqrt,
    ComplexSquareAbs,
    ComplexSubtract,
    ComplexSum,
    ComplexSumT,
    Conj,
    Imag2Complex,
    Real2Complex,
)
from .complex_parts import Complex, ComplexImag, ComplexReal
from .families import Bilinear, Choice, Contraction, Elementwise, Selection
from .hyperbolic import Cosh, Expm1, Log1p, Logistic, Sech, Sinh, Softplus, Tanh
from .literals import AutoFactorize, Factorize, IntCst, IntInv, RatCst, Var, Zero
from .norms import (
    Norm2,
    Normalize,
    SqDist,
    SqNorm2,
    SqNormDiag,
    SqNormIso,
    SymSqNorm,
    WeightedSqDist,
    WeightedSqNorm,
)
from .piecewise import (
    Abs,
    Clamp,
    ClampInt,
    DiffClampInt,
    Equal,
    Floor,
    Fmod,
    IfElse,
    LessOrEqual,
    LessThan,
    Mod,
    NotEqual,
    ReLU,
    Round,
    Sign,
    Step,
)
from .powers import Inv, Pow, Powf, Rsqrt, Sqrt, Square
from .products import Kron, MatVecMult, Scalprod, TensorDot, TensorProd, VecMatMult
from .selections import Concat, Elem, ElemT, Extract, ExtractT, SumT
from .special import Digamma, Erf, Erfc, LogGamma
from .splines import BSpline
from .transcendental import Acos, Asin, Atan, Atan2, Cos, Exp, Log, Sin, SinXDivX, XLogX
from .vectors import ArgMax, ArgMin, Max, Min, OneHot, Prod, Sum
from .warping import SoftDTW_SqDist

__all__ = [
    "Abs", "Acos", "Add", "ArgMax", "ArgMin", "Asin", "Atan", "Atan2", "AutoFactorize", "BSpline", "Bilinear", "Choice",
    "Clamp", "ClampInt", "Complex", "ComplexAbs", "ComplexAdd", "ComplexAngle", "ComplexDivide", "ComplexExp",
    "ComplexExp1j", "ComplexImag", "ComplexInv", "ComplexLog", "ComplexMult", "ComplexPow", "ComplexReal",
    "ComplexRealScal", "ComplexScal", "ComplexSqrt", "ComplexSquareAbs", "ComplexSubtract", "ComplexSum", "ComplexSumT",
    "Composite", "Concat", "Conj", "Contraction", "Cos", "Cosh", "DiffClampInt", "Digamma", "Divide", "Elem", "ElemT",
    "Elementwise", "Equal", "Erf", "Erfc", "Exp", "Expm1", "Extract", "ExtractT", "Factorize", "Floor", "Fmod",
    "IfElse", "Imag2Complex", "IntCst", "IntInv", "Inv", "Kron", "LessOrEqual", "LessThan", "Log", "Log1p", "LogGamma",
    "Logistic", "MatVecMult", "Max", "Min", "Minus", "Mod", "Mult", "Norm2", "Normalize", "NotEqual", "OneHot",
    "Operation", "Pow", "Powf", "Prod", "RatCst", "ReLU", "Real2Complex", "Round", "Rsqrt", "Scalprod", "Sech",
    "Selection", "Sign", "Sin", "SinXDivX", "Sinh", "SoftDTW_SqDist", "Softplus", "SqDist", "SqNorm2", "SqNormDiag",
    "SqNormIso", "Sqrt", "Square", "Step", "Subtract", "Sum", "SumT", "SymSqNorm", "Tanh", "TensorDot", "TensorProd",
    "Var", "VecMatMult", "WeightedSqDist", "WeightedSqNorm", "XLogX", "Zero", "composite", "lookup", "register",
    "registry",
]  # fmt: skip
