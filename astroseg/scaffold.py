"""A new plugin package, from the example that ships with astroseg."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from astroseg.errors import AstrosegError, UsageError
from astroseg.plugins import OURS, registrations

__all__ = ["new_plugin"]

# A whole package for a finder named "template"; that word occurs in it only where the name belongs.
_TEMPLATE = Path(__file__).with_name("template")
# Their classes would be called PixelFinder and SourceFinder, as the base classes are.
_BASES = ("pixel", "source")


def new_plugin(name: str, folder: str | Path = ".") -> Path:
    """Write a complete plugin package with one small finder, its tests and its continuous integration.

    Parameters
    ----------
    name : str
        What users will call the finder: lowercase letters, digits and single hyphens; no name that an
        installed plugin has taken. The package becomes
        ``astroseg-NAME``, its module ``astroseg_name``, its class ``NameFinder``.
    folder : path
        Where the package's folder is made.

    Returns
    -------
    `~pathlib.Path`
        The package's folder.

    Raises
    ------
    UsageError
        The name cannot be used.
    AstrosegError
        The package's folder exists, or cannot be written.
    """
    _check_name(name)
    path = Path(folder) / f"astroseg-{name}"
    if path.exists():
        msg = f"{path} exists already; choose another name or folder, or remove it."
        raise AstrosegError(msg)
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix=".astroseg-") as draft:
            _render(Path(draft) / "package", name)
            (Path(draft) / "package").rename(path)
    except OSError as error:
        msg = f"Cannot write {path}: {error.strerror or error}."
        raise AstrosegError(msg) from error
    return path


def _check_name(name: str) -> None:
    if re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name) is None:
        msg = (
            f"'{name}' is no name for a finder. Use lowercase letters, digits and single hyphens, for example k-sigma."
        )
        raise UsageError(msg)
    if name == "astroseg" or name.startswith("astroseg-"):
        msg = f"Leave 'astroseg-' out of the name '{name}'; the package gets it anyway."
        raise UsageError(msg)
    if name in _BASES:
        msg = f"The class would be called {_class_name(name)}, as a base class of astroseg is; take another name."
        raise UsageError(msg)
    owner = {entry.name: entry.package for entry in registrations()} | dict.fromkeys(OURS, "astroseg")
    if name in owner:
        msg = f"The name '{name}' is taken, by {owner[name]}; take another one."
        raise UsageError(msg)


def _class_name(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("-")) + "Finder"


def _render(target: Path, name: str) -> None:
    """Copy the template with its names replaced, in paths and in texts."""
    for source in sorted(_TEMPLATE.rglob("*")):
        # Installers compile the modules of the template too.
        if source.is_file() and "__pycache__" not in source.parts:
            path = target / _renamed(source.relative_to(_TEMPLATE).as_posix(), name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(_renamed(source.read_text(encoding="utf-8"), name), encoding="utf-8", newline="\n")


def _renamed(text: str, name: str) -> str:
    text = text.replace("astroseg_template", f"astroseg_{name.replace('-', '_')}")
    text = text.replace("TemplateFinder", _class_name(name))
    return text.replace("template", name)
