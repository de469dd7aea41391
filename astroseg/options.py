"""Options of finders and restorers: declared once, in the constructor's signature and docstring.

The signature gives name, type, limits and default, the numpydoc ``Parameters`` section the
meaning and unit. Everything else follows: repr, provenance, validation, ``--set key=value`` and
``astroseg backends NAME``.
"""

from __future__ import annotations

import inspect
import math
import types
import typing
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import annotated_types
import numpy as np

from astroseg.errors import UsageError

__all__ = ["Configurable", "Option"]


@dataclass(frozen=True)
class Option:
    """One option of a backend.

    Parameters
    ----------
    name : str
    annotation : type
        ``float``, ``int``, ``bool``, ``str``, a ``Literal``, a union with `None`, or an
        ``Annotated`` one of these with limits from `annotated_types`.
    default : object
    unit, meaning : str
        From the docstring.
    """

    name: str
    annotation: Any
    default: Any
    unit: str = ""
    meaning: str = ""

    @property
    def kind(self) -> str:
        """The type in words, with its limits: ``float > 0``, ``mesh|constant|none``."""
        inner, limits = _unwrap(self.annotation)
        return " ".join(text for text in (_words(inner), *map(_limit_words, limits)) if text)

    def parse(self, text: str) -> Any:
        """Turn the text of ``key=value`` into a value of the declared type."""
        inner, _ = _unwrap(self.annotation)
        for kind in _alternatives(inner):
            try:
                return self.check(_parse_as(kind, text))
            except (ValueError, KeyError):
                continue
        return self.check(text)

    def check(self, value: Any) -> Any:
        """Return the value as a plain one, an int as float where a float is declared, or raise `UsageError`."""
        inner, limits = _unwrap(self.annotation)
        value = _plain(value)
        for kind in _alternatives(inner):
            if _is_a(value, kind):
                value = float(value) if kind is float else value
                if value is None or all(_within(value, limit) for limit in limits):
                    return value
        msg = f"The option {self.name} takes {self.kind}, not {value!r}."
        raise UsageError(msg)


class Configurable:
    """Base of everything that is built from options: the constructor stores, and nothing else."""

    name: typing.ClassVar[str] = ""

    @classmethod
    def options(cls) -> dict[str, Option]:
        """Return the options in the order of the constructor."""
        hints = typing.get_type_hints(cls.__init__, include_extras=True)
        texts: dict[str, tuple[str, str]] = {}
        for base in reversed(cls.__mro__):
            texts |= _parameter_texts(base)
        return {
            name: Option(name, hints.get(name, Any), parameter.default, *texts.get(name, ("", "")))
            for name, parameter in inspect.signature(cls).parameters.items()
            if parameter.kind is inspect.Parameter.KEYWORD_ONLY
        }

    @classmethod
    def option(cls, key: str) -> Option:
        """Return one option, or raise `UsageError` with the nearest name."""
        options = cls.options()
        if key in options:
            return options[key]
        near = get_close_matches(key, options, n=1)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        msg = f"{cls.name} has no option '{key}'.{hint} Its options: {', '.join(options) or 'none'}."
        raise UsageError(msg)

    @classmethod
    def from_text(cls, settings: dict[str, str]) -> typing.Self:
        """Build from the texts of ``--set key=value``; nothing is evaluated."""
        return cls(**{key: cls.option(key).parse(text) for key, text in settings.items()})

    def get_params(self) -> dict[str, Any]:
        """Return all options and their values, scalars of NumPy as plain ones."""
        return {name: _plain(getattr(self, name)) for name in self.options()}

    def validate(self) -> None:
        """Check all values against their declaration, and make scalars of NumPy plain; raises `UsageError`."""
        values, options = self.get_params(), self.options()
        for name, value in values.items():
            options[name].check(value)
            setattr(self, name, value)  # so that a run computes with what its provenance says

    def __repr__(self) -> str:
        options = self.options()
        changed = [f"{k}={v!r}" for k, v in self.get_params().items() if k not in options or v != options[k].default]
        return f"{type(self).__name__}({', '.join(changed)})"


def _plain(value: Any) -> Any:
    """Return the Python number, bool or text of a scalar of NumPy, anything else as it is."""
    return value.item() if isinstance(value, np.generic) else value


def _unwrap(annotation) -> tuple[Any, tuple]:
    if typing.get_origin(annotation) is typing.Annotated:
        inner, *limits = typing.get_args(annotation)
        return inner, tuple(limits)
    return annotation, ()


def _alternatives(annotation) -> tuple:
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        # None first: the text "none" must not become a string.
        return tuple(sorted(typing.get_args(annotation), key=lambda kind: kind is not types.NoneType))
    return (annotation,)


def _words(annotation) -> str:
    if typing.get_origin(annotation) is typing.Literal:
        return "|".join(map(str, typing.get_args(annotation)))
    if annotation is Any:
        return "value"
    names = [
        "none" if kind is types.NoneType else getattr(kind, "__name__", str(kind))
        for kind in reversed(_alternatives(annotation))
    ]
    return " or ".join(names)


def _limit_words(limit) -> str:
    if isinstance(limit, annotated_types.Interval):
        return " and ".join(_limit_words(part) for part in limit)
    signs = {"Gt": ">", "Ge": ">=", "Lt": "<", "Le": "<="}
    kind = type(limit).__name__
    return f"{signs[kind]} {getattr(limit, kind.lower())}" if kind in signs else ""


def _within(value, limit) -> bool:
    if isinstance(limit, annotated_types.Interval):
        return all(_within(value, part) for part in limit)
    tests = {
        annotated_types.Gt: lambda: value > limit.gt,
        annotated_types.Ge: lambda: value >= limit.ge,
        annotated_types.Lt: lambda: value < limit.lt,
        annotated_types.Le: lambda: value <= limit.le,
    }
    return tests[type(limit)]() if type(limit) in tests else True


def _is_a(value, kind) -> bool:
    if kind is Any:
        return True
    if typing.get_origin(kind) is typing.Literal:
        return value in typing.get_args(kind)
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, kind)


def _parse_as(kind, text: str) -> Any:
    if kind is types.NoneType:
        return {"none": None}[text.strip().lower()]
    if kind is bool:
        truth = {
            "true": True,
            "yes": True,
            "1": True,
            "on": True,
            "false": False,
            "no": False,
            "0": False,
            "off": False,
        }
        return truth[text.strip().lower()]
    if kind in (int, float):
        return kind(text)
    if typing.get_origin(kind) is typing.Literal:
        return {str(choice): choice for choice in typing.get_args(kind)}[text.strip()]
    return text


def _parameter_texts(cls) -> dict[str, tuple[str, str]]:
    """Unit and meaning of each parameter from the numpydoc section of the class docstring.

    The type line ends with the unit, as in ``threshold : float, in units of the noise``.
    """
    texts: dict[str, tuple[str, list[str]]] = {}
    lines = inspect.cleandoc(cls.__doc__ or "").splitlines()
    inside, name = False, ""
    for line, following in zip(lines, [*lines, ""][1:], strict=True):
        if following and set(following.strip()) == {"-"}:
            inside, name = line.strip() == "Parameters", ""
        elif inside and set(line.strip()) == {"-"}:
            continue
        elif inside and line and not line.startswith(" "):
            name, _, kind = line.partition(" : ")
            name = name.strip()
            texts[name] = (kind.partition(", ")[2].strip(), [])
        elif inside and name and line.strip():
            texts[name][1].append(line.strip())
    return {name: (unit, " ".join(words)) for name, (unit, words) in texts.items()}
