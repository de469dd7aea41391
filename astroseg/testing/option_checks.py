"""Checks of what finders and restorers share: options, name, documentation."""

from __future__ import annotations

import ast
import inspect
import re
from typing import Any

from astroseg.errors import UsageError
from astroseg.testing.compare import Backend, quietly
from astroseg.testing.fields import make_field


def check_name(backend: Backend) -> None:
    """The class has a name that the command line can take, and a docstring that begins with a sentence."""
    assert re.fullmatch(r"[a-z][a-z0-9_-]*", backend.name), (
        f"name = {backend.name!r}: give the class a name of lowercase letters, digits, '-' and '_'"
    )
    assert inspect.getdoc(type(backend)), f"{type(backend).__name__} has no docstring"


def check_constructor_only_stores(backend: Backend) -> None:
    """The constructor takes keyword-only options with defaults, keeps them as they are, and nothing else."""
    cls = type(backend)
    for key, parameter in inspect.signature(cls).parameters.items():
        assert parameter.kind is inspect.Parameter.KEYWORD_ONLY, f"the option {key} is not keyword-only"
        assert parameter.default is not inspect.Parameter.empty, f"the option {key} has no default"
    values = {key: object() for key in cls.options()}
    try:
        made = cls(**values)
    except Exception as error:
        msg = f"the constructor does more than store: given a bare object for each option, it raises {error!r}"
        raise AssertionError(msg) from error
    for key, value in values.items():
        assert getattr(made, key, None) is value, f"the constructor does not store the option {key} as it was given"
    extra = sorted(set(vars(made)) - set(values))
    assert not extra, f"the constructor sets {', '.join(extra)}, which is no option; make it a class attribute"


def check_options_documented(backend: Backend) -> None:
    """Every option has a type and a meaning in the Parameters section of the docstring."""
    for key, option in type(backend).options().items():
        assert option.annotation is not Any, f"the option {key} has no type annotation"
        assert option.meaning, f"the option {key} has no meaning; describe it under Parameters in the class docstring"


def check_unknown_option(backend: Backend) -> None:
    """An option that does not exist is refused."""
    cls: Any = type(backend)
    try:
        cls.option("no_such_option")
    except UsageError:
        pass
    else:
        msg = "option('no_such_option') does not raise UsageError"
        raise AssertionError(msg)
    try:
        cls(no_such_option=1)
    except TypeError:
        return
    msg = "the constructor takes no_such_option=1 without an error; leave **kwargs out of it"
    raise AssertionError(msg)


def check_wrong_values(backend: Backend) -> None:
    """A value of the wrong type ends in a UsageError before any work is done."""
    image, _ = make_field(shape=(64, 64), n_sources=1)
    for key in type(backend).options():
        made = type(backend)(**{**backend.get_params(), key: object()})
        try:
            quietly(made, image)
        except UsageError:
            continue
        except Exception as error:
            msg = f"a bare object as option {key} ends in {error!r}; let the run begin with self.validate()"
            raise AssertionError(msg) from error
        msg = f"the option {key} takes any object; annotate its type, and let the run begin with self.validate()"
        raise AssertionError(msg)


def check_repr(backend: Backend) -> None:
    """The repr gives back the options, as plain values."""
    text = repr(backend)
    wrong = f"the repr {text} is not {type(backend).__name__} with plain values in brackets"
    try:
        call = ast.parse(text, mode="eval").body
        assert isinstance(call, ast.Call), wrong
        assert ast.unparse(call.func) == type(backend).__name__, wrong
        values = {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in call.keywords}
    except (SyntaxError, ValueError) as error:
        raise AssertionError(wrong) from error
    again = type(backend)(**values).get_params()
    assert again == backend.get_params(), f"the repr {text} stands for {again}, not for {backend.get_params()}"


def check_options_from_text(backend: Backend) -> None:
    """Options written as text, as in ``--set key=value``, give the same options."""
    params = backend.get_params()
    again = type(backend).from_text({key: str(value) for key, value in params.items()}).get_params()
    assert again == params, f"from_text gives {again}, not {params}"
