"""From text to expression, with an explicit stack and the place of every mistake.

Precedence is Python's, from loose to tight: comparisons; ``|``; ``+ -``; ``* /``; unary ``-``; ``**`` (right to left).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from .calculus import fresh_variable
from .errors import FormulaError, suggestion
from .expression import Expression, Variable
from .limits import MAX_NESTING
from .registry import lookup, registry
from .tokens import Token, number, tokenize

__all__ = ["parse"]


class _Infix(NamedTuple):
    precedence: int
    operation: str
    swapped: bool = False


_INFIX = {
    "<": _Infix(1, "LessThan"),
    "<=": _Infix(1, "LessOrEqual"),
    ">": _Infix(1, "LessThan", True),
    ">=": _Infix(1, "LessOrEqual", True),
    "==": _Infix(1, "Equal"),
    "!=": _Infix(1, "NotEqual"),
    "|": _Infix(2, "Scalprod"),
    "+": _Infix(3, "Add"),
    "-": _Infix(3, "Subtract"),
    "*": _Infix(4, "Mult"),
    "/": _Infix(4, "Divide"),
    "**": _Infix(6, "Powf"),
}
_COMPARISON, _UNARY, _POWER = 1, 5, 6
_MINUS = _Infix(_UNARY, "Minus")
_PYTHON_WORDS = {
    "and": "; multiply comparisons instead",
    "or": "; add comparisons instead",
    "not": "; use IfElse instead",
    "if": "; use IfElse instead",
    "else": "; use IfElse instead",
    "is": "; compare with '=='",
}


class _Frame:
    """An open parenthesis, or a call with the arguments read so far."""

    __slots__ = ("arguments", "operands", "operation", "operators", "token")

    def __init__(self, token: Token, operation=None):
        self.token = token
        self.operation = operation
        self.arguments: list = []
        self.operands: list[Expression] = []
        self.operators: list[tuple[_Infix, Token]] = []


def parse(text: str, variables: Mapping[str, Variable] | None = None) -> Expression:
    """The expression that a formula describes.

    Parameters
    ----------
    text : str
        The formula.
    variables : mapping of str to Variable, optional
        What names stand for. ``Var(position,dim,category)`` needs no name.

    Returns
    -------
    Expression

    Raises
    ------
    FormulaError
        With the formula and a caret under the place of the mistake.

    Examples
    --------
    >>> x, y = Variable(0, 3, 0), Variable(1, 3, 1)
    >>> parse("Exp(-SqDist(x,y)/2)", {"x": x, "y": y})
    Exp(-0.5*Sum(Square(Var(0,3,0)-Var(1,3,1))))
    """
    return _Parser(text, variables or {}).run()


def parse_declaring(text: str, variables: Mapping[str, Variable]) -> tuple[Expression, tuple[Variable, ...]]:
    """The expression that a formula describes, and the variables that it declares as ``Var(position,dim,category)`` or by a
    ``Grad`` of two arguments: they are arguments of a call even if simplification removes them, as in ``0*Var(2,1,0)``."""
    parser = _Parser(text, variables)
    expression = parser.run()
    return expression, tuple(v for v in parser.by_position.values() if v not in variables.values())


class _Parser:
    def __init__(self, text: str, variables: Mapping[str, Variable]):
        self.tokens = tokenize(text)
        self.text = text
        self.variables = variables
        self.by_position = {v.position: v for v in variables.values()}
        self.k = 0

    def run(self) -> Expression:
        frames = [_Frame(Token("start", "", 0))]
        while True:
            finished = self.operand(frames)
            while finished:
                # what may follow an operand: an operator, or the end of something
                frame, token = frames[-1], self.tokens[self.k]
                infix = _INFIX.get(token.kind)
                if infix is not None:
                    self.k += 1
                    self.reduce(frame, infix)
                    frame.operators.append((infix, token))
                    finished = False
                elif token.kind == ")" and len(frames) > 1:
                    self.k += 1
                    self.close(frames)
                elif token.kind == "," and frame.operation is not None:
                    self.k += 1
                    self.reduce(frame)
                    frame.arguments.append(frame.operands.pop())
                    if self.tokens[self.k].kind == ")":  # after a comma, as in Python
                        finished = self.end_of_call(frames)
                    else:
                        finished = self.parameters(frames)
                elif token.kind == "end" and len(frames) == 1:
                    self.reduce(frame)
                    return frame.operands.pop()
                else:
                    self.unexpected(frames, token)

    # -- operands ---------------------------------------------------------------------------------------------
    def operand(self, frames: list[_Frame]) -> bool:
        """Read one token where an operand may begin. Return whether an operand is complete."""
        frame, token = frames[-1], self.tokens[self.k]
        kind = token.kind
        self.k += 1
        if kind == "number":
            frame.operands.append(number(token, self.text))
            return True
        if kind == "name":
            if self.tokens[self.k].kind == "(":
                try:
                    operation = lookup(token.text)
                except FormulaError as error:
                    raise self.error(error.message, token) from None
                self.k += 1
                self.push(frames, _Frame(token, operation))
                return self.parameters(frames)
            frame.operands.append(self.variable(token))
            return True
        if kind == "-":
            frame.operators.append((_MINUS, token))
            return False
        if kind == "+":
            return False
        if kind == "(":
            self.push(frames, _Frame(token))
            return False
        if kind == "[":
            raise self.error("a list of integers is not expected here", token)
        if kind == "end":
            if frame.token.kind != "start":
                raise self.unclosed(frame)
            found = "the end of the formula" if len(self.tokens) > 1 else "an empty formula"
            raise self.error(f"expected a variable, a number or an operation, found {found}", token)
        raise self.error(f"expected a variable, a number or an operation, found {token.text!r}", token)

    def variable(self, token: Token) -> Variable:
        found = self.variables.get(token.text)
        if found is None:
            name = token.text
            if name in _PYTHON_WORDS:
                raise self.error(f"unexpected {name!r}{_PYTHON_WORDS[name]}", token)
            if name in registry:
                raise self.error(f"operation {name!r} needs arguments in parentheses", token)
            hint = suggestion(name, self.variables)
            if not hint:
                names = ", ".join(list(self.variables)[:10])
                hint = f"; the variables are {names}" if names else "; there are no named variables"
            raise self.error(f"unknown variable {name[:60]!r}{hint}", token)
        return found

    def parameters(self, frames: list[_Frame]) -> bool:
        """Read the integers of a call, if it is their turn. Return whether the call is complete."""
        frame = frames[-1]
        operation = frame.operation
        if self.tokens[self.k].kind == ")" and not frame.arguments:
            return self.end_of_call(frames)
        n_formulas = len(operation.arguments)
        if len(frame.arguments) < n_formulas:
            return False
        names = operation.parameters
        while True:
            if len(frame.arguments) - n_formulas >= len(names):
                most = n_formulas + len(names)
                listed = ", ".join((*operation.arguments, *names))
                message = f"{operation.name} takes at most {most} argument{'s' * (most != 1)} ({listed})"
                raise self.error(message, self.tokens[self.k])
            name = names[len(frame.arguments) - n_formulas]
            frame.arguments.append(self.parameter(operation, name))
            token = self.tokens[self.k]
            if token.kind == "," and self.tokens[self.k + 1].kind == ")":
                self.k += 1
                token = self.tokens[self.k]
            if token.kind == ")":
                return self.end_of_call(frames)
            self.k += 1
            if token.kind == "end":
                raise self.unclosed(frame)
            if token.kind != ",":
                raise self.error(f"expected ',' or ')' after parameter {name!r}, found {token.text!r}", token)

    def end_of_call(self, frames: list[_Frame]) -> bool:
        """Read the parenthesis that closes a call. Return True: the call is complete."""
        self.k += 1
        frame = frames.pop()
        frames[-1].operands.append(self.call(frame))
        return True

    def parameter(self, operation, name: str):
        """Read an integer, or a list of integers."""
        where = f"{operation.name}: parameter {name!r}"
        token = self.tokens[self.k]
        if name not in operation.list_parameters:
            if token.kind == "[":
                raise self.error(f"{where} must be an integer, found a list", token)
            return self.integer(where)
        if token.kind == "name" and token.text == "None":
            self.k += 1
            return None
        closing = {"[": "]", "(": ")"}.get(token.kind)
        if closing is None:
            raise self.error(f"{where} must be a list of integers, as in [2,3], found {_shown(token)}", token)
        self.k += 1
        values: list[int] = []
        while self.tokens[self.k].kind != closing:
            values.append(self.integer(where))
            token = self.tokens[self.k]
            if token.kind == ",":
                self.k += 1
            elif token.kind != closing:
                raise self.error(f"{where}: expected ',' or {closing!r}, found {_shown(token)}", token)
        self.k += 1
        return values

    def integer(self, where: str) -> int:
        start = token = self.tokens[self.k]
        sign = 1
        while token.kind in ("-", "+"):
            sign = -sign if token.kind == "-" else sign
            self.k += 1
            token = self.tokens[self.k]
        if token.kind != "number":
            raise self.error(f"{where} must be an integer, found {_shown(token)}", token)
        if not token.text.isdecimal():
            raise self.error(f"{where} must be an integer, found {token.text[:40]}", token)
        number(token, self.text)  # refuses what is absurdly long
        self.k += 1
        following = self.tokens[self.k]
        if following.kind not in (",", ")", "]", "end"):
            raise self.error(f"{where} must be an integer, found an expression", start)
        return sign * int(token.text)

    # -- operators and calls ----------------------------------------------------------------------------------
    def reduce(self, frame: _Frame, incoming: _Infix | None = None) -> None:
        """Apply the operators that bind tighter than the incoming one; all of them if there is none."""
        operators, operands = frame.operators, frame.operands
        level = incoming.precedence if incoming is not None else 0
        while operators:
            infix, token = operators[-1]
            if infix.precedence < level or infix.precedence == level == _POWER:
                return
            if infix.precedence == level == _COMPARISON:
                message = "comparisons cannot be chained; multiply them, as in (x<y)*(y<z)"
                raise self.error(message, self.tokens[self.k - 1])
            operators.pop()
            right = operands.pop()
            try:
                if infix is _MINUS:
                    result = lookup("Minus").build(right)
                else:
                    left = operands.pop()
                    pair = (right, left) if infix.swapped else (left, right)
                    result = lookup(infix.operation).build(*pair)
            except FormulaError as error:
                raise self.error(error.message, token) from None
            operands.append(result)

    def close(self, frames: list[_Frame]) -> None:
        """Read a closing parenthesis."""
        frame = frames.pop()
        self.reduce(frame)
        value = frame.operands.pop()
        if frame.operation is not None:
            frame.arguments.append(value)
            value = self.call(frame)
        frames[-1].operands.append(value)

    def call(self, frame: _Frame) -> Expression:
        operation, arguments = frame.operation, frame.arguments
        try:
            if operation.name == "Grad" and len(arguments) == 2:
                n_declared = max(self.by_position, default=-1) + 1
                new = fresh_variable(arguments[0], arguments[1], n_declared)
                self.by_position[new.position] = new
                arguments = [*arguments, new]
            result = operation.build(*arguments)
        except FormulaError as error:
            raise self.error(error.message, frame.token) from None
        if isinstance(result, Variable):
            declared = self.by_position.setdefault(result.position, result)
            if declared is not result:
                message = f"the variable at position {result.position} is {declared}, it cannot also be {result}"
                raise self.error(message, frame.token)
        return result

    def push(self, frames: list[_Frame], frame: _Frame) -> None:
        frames.append(frame)
        if len(frames) > MAX_NESTING + 1:
            raise self.error(f"more than {MAX_NESTING} parentheses are open", frame.token)

    # -- errors -----------------------------------------------------------------------------------------------
    def error(self, message: str, token: Token) -> FormulaError:
        return FormulaError(message, self.text, token.position, max(1, len(token.text)))

    def unclosed(self, frame: _Frame) -> FormulaError:
        if frame.operation is not None:
            return self.error(f"the parenthesis of {frame.token.text!r} is never closed", frame.token)
        return self.error("this parenthesis is never closed", frame.token)

    def unexpected(self, frames: list[_Frame], token: Token) -> None:
        """Raise the error of a token that cannot follow an operand."""
        if token.kind == "end":
            raise self.unclosed(frames[-1])
        if token.kind == ")":
            raise self.error("this parenthesis was never opened", token)
        if token.kind == ",":
            raise self.error("unexpected ',' outside of a call", token)
        if token.kind == "=":
            raise self.error("unexpected '='; comparisons are written '=='", token)
        if token.kind == "[":
            raise self.error("components are not written [k]; use Elem(f,k) or Extract(f,start,d)", token)
        if token.text in _PYTHON_WORDS:
            raise self.error(f"unexpected {token.text!r}{_PYTHON_WORDS[token.text]}", token)
        raise self.error(f"expected an operator, found {token.text[:60]!r}", token)


def _shown(token: Token) -> str:
    return "the end of the formula" if token.kind == "end" else repr(token.text[:40])
