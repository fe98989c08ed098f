"""What a lazy tensor can do, a class for each kind of methods."""

from .arithmetic import Arithmetic
from .base import Methods, common_rows, same
from .calculus import Calculus
from .choices import Choices
from .complex_numbers import ComplexNumbers
from .functions import Functions
from .linear_algebra import LinearAlgebra
from .parts import Parts
from .protocols import Protocols
from .reductions import Reductions
from .vectors import Vectors

__all__ = [
    "Arithmetic",
    "Calculus",
    "Choices",
    "ComplexNumbers",
    "Functions",
    "LinearAlgebra",
    "Methods",
    "Parts",
    "Protocols",
    "Reductions",
    "Vectors",
    "common_rows",
    "same",
]
