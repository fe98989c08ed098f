"""The shapes of the main kernel: one file or folder for each, see `base.Template`.

Nothing lists them. A file that is added here is imported with the others when the first source is made.
"""

from __future__ import annotations

import inspect
import pkgutil
from functools import lru_cache

from skkeops.locks import import_module
from skkeops.plan.plan import Plan

from .base import Template
from .task import Task

__all__ = ["Task", "Template", "choose", "choose_template", "templates"]


@lru_cache(maxsize=1)
def _import_all() -> None:
    for module in pkgutil.iter_modules(__path__):
        import_module(f"{__name__}.{module.name}")


def templates() -> list[type[Template]]:
    """All templates, in the order of their names."""
    _import_all()
    return _complete(tuple(Template.classes))


@lru_cache(maxsize=1)
def _complete(classes: tuple[type[Template], ...]) -> list[type[Template]]:
    """Those that override what must be overridden."""
    found = [cls for cls in classes if not inspect.isabstract(cls)]
    return sorted(found, key=lambda cls: (cls.name, cls.__name__))


def choose_template(plan: Plan, rows: int, columns: int, along: bool = False, ranges: bool = False) -> str:
    """What `source` is asked for, for a call.

    Parameters
    ----------
    plan : Plan
    rows, columns : int
        The lengths of the output's and of the reduced axis.
    along : bool, default=False
        Whether there are values of pairs that are neighbours in memory along the reduced axis.
    ranges : bool, default=False

    Returns
    -------
    str
        The name of the template that suits these sizes, or "ranges", or "auto" where the formula alone decides.
    """
    if ranges:
        return "ranges"
    return next((cls.name for cls in templates() if cls.suits(plan, rows, columns, along)), "auto")


def choose(task: Task, template: str = "auto") -> tuple[Template, dict[str, str]]:
    """The kernel of a task.

    Parameters
    ----------
    task : Task
    template : str
        "auto", "ranges", or the name of the template that is to be tried first.

    Returns
    -------
    kernel : Template
    declined : dict of str to str
        The templates that were tried before, and the reasons why they declined.
    """
    names = {cls.name for cls in templates()}
    if template not in ("auto", "ranges", *names):
        raise ValueError(f"template must be 'auto', 'ranges' or one of {sorted(names)}, found {template!r}")
    tried = [cls for cls in templates() if not cls.of_sizes or cls.name == template]
    declined: dict[str, str] = {}
    for cls in sorted(tried, key=lambda cls: (cls.name != template, cls.rank(task))):
        reason = cls.declines(task)
        if reason is None:
            kernel = cls(task)
            reason = kernel.exceeds()
            if reason is None:
                return kernel, declined
        declined[cls.__name__] = reason
    raise ValueError(f"no template can do this: {declined}")
