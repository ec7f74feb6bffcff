"""Values of a config that have one type and one range."""

import math
from typing import Any

__all__ = ['check_count', 'check_flag', 'check_number']


def check_flag(name: str, value: Any) -> None:
    """Raise ValueError where a switch is neither True nor False: a text such as 'no' would count as on."""
    if not isinstance(value, bool):
        raise ValueError(f'{name} must be True or False, got {value!r}')


def check_count(name: str, value: Any, least: int = 1) -> None:
    """Raise ValueError where a value is no whole number, or less than ``least``."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f'{name} must be a whole number of at least {least}, got {value!r}')


def check_number(name: str, value: Any, *, least: float = -math.inf, above: float = -math.inf) -> None:
    """Raise ValueError where a value is no finite number, or less than ``least``, or not above ``above``."""
    rule = 'a finite number'
    if least > -math.inf:
        rule += f' of at least {least:g}'
    if above > -math.inf:
        rule += f' above {above:g}'
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or value < least or value <= above:
        raise ValueError(f'{name} must be {rule}, got {value!r}')
