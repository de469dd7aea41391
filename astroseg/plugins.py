"""Entry points -> finders, restorers and trainers. A broken plugin is listed, never fatal."""

from __future__ import annotations

import importlib
import importlib.util
import re
import warnings
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING, Any

import pluggy

from astroseg import hookspecs
from astroseg.errors import AstrosegWarning, PluginError, UsageError

if TYPE_CHECKING:
    import click

    from astroseg.finder import SourceFinder
    from astroseg.restorer import Restorer
    from astroseg.trainer import Trainer

__all__ = [
    "OURS",
    "OUR_RESTORERS",
    "OUR_TRAINERS",
    "Registration",
    "add_commands",
    "get_finder",
    "get_restorer",
    "get_trainer",
    "load_class",
    "package_of",
    "registrations",
]

#: Plugin of this project -> where it lives, for the message when it is not installed.
OURS = {
    "bdsf": "./plugins/astroseg-bdsf",
    "sep": "./plugins/astroseg-sep",
    "unet": "./plugins/astroseg-networks",
    "vae": "./plugins/astroseg-networks",
    "cae": "./plugins/astroseg-networks",
    "continunet": "./plugins/astroseg-networks",
    "dextr": "./plugins/astroseg-networks",
    "pix2pix": "./plugins/astroseg-networks",
}
#: Restorer of this project -> where it lives.
OUR_RESTORERS = dict.fromkeys(("pix2pix", "unrolled"), "./plugins/astroseg-networks")
#: Trainer of this project -> what pip is to install: with the extra that a finder does not need.
OUR_TRAINERS = dict.fromkeys(
    ("unet", "vae", "cae", "continunet", "dextr", "pix2pix", "unrolled"), "'./plugins/astroseg-networks[train]'"
)


@dataclass
class Registration:
    """One name that a plugin offers.

    Parameters
    ----------
    name, kind, target, summary : str
        ``kind`` is finder, restorer or trainer; ``target`` is ``package.module:Class``.
    package, version : str
        The distribution that brings it.
    error, install : str
        Why it cannot be used, and what to do; empty when it can.
    missing : tuple of str
        Requirements of the distribution that are not installed under that name. It may work all the
        same (conda and CUDA builds have other names): the summary says so, and the import decides.
    """

    name: str
    kind: str
    target: str
    summary: str
    package: str
    version: str
    error: str = ""
    install: str = ""
    missing: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether it can be loaded, as far as can be told without importing it."""
        return not self.error


@dataclass
class _Registry:
    manager: pluggy.PluginManager
    entries: list[Registration] = field(default_factory=list)


@cache
def _registry() -> _Registry:
    """Load the entry points one by one; pluggy's own loader stops at the first broken one."""
    manager = pluggy.PluginManager("astroseg")
    manager.add_hookspecs(hookspecs)
    registry = _Registry(manager)
    points = sorted(
        metadata.entry_points(group="astroseg"), key=lambda point: (_package(point)[0] != "astroseg", point.name)
    )
    for point in points:
        package, version = _package(point)
        try:
            plugin = point.load()
            manager.register(plugin, name=f"{package}:{point.name}")
            for kind in ("finder", "restorer", "trainer"):
                _collect(registry, plugin, kind, package, version)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a stranger's module does, the others go on
            entry = Registration(point.name, "plugin", point.value, "", package, version)
            entry.error = f"{type(error).__name__}: {_first_line(error)}"
            entry.install = _how_to_install(error, package)
            registry.entries.append(entry)
    _mark_duplicates(registry.entries)
    return registry


def _package(point) -> tuple[str, str]:
    return (point.dist.name, point.dist.version) if point.dist else ("?", "?")


def _collect(registry, plugin, kind, package, version) -> None:
    hook = getattr(plugin, f"register_{kind}s", None)
    if hook is None:
        return

    def register(name: str, target: str, summary: str) -> None:
        entry = Registration(name, kind, target, summary, package, version)
        entry.error, entry.install = _trouble(name, target, package)
        entry.missing = () if entry.error else tuple(item for item in _required(package) if not _installed(item))
        if entry.missing:
            entry.install = f"pip install {' '.join(entry.missing)}"
            entry.summary = f"{summary} (not installed under that name: {', '.join(entry.missing)})"
        registry.entries.append(entry)

    hook(register=register)


def _trouble(name: str, target: str, package: str) -> tuple[str, str]:
    """Tell why a target cannot be loaded, without importing it: ``astroseg backends`` stays quick."""
    if re.fullmatch(r"[a-z][a-z0-9_-]*", name) is None:
        return f"{name!r} is no name: it takes lowercase letters, digits, '-' and '_'", f"update {package}"
    module, _, attribute = target.partition(":")
    if not attribute or not _findable(module):
        return f"there is no {target}", f"reinstall {package}"
    return "", ""


def _findable(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):  # its package is not there, or cannot be imported
        return False


@cache
def _required(package: str) -> tuple[str, ...]:
    try:
        lines = metadata.requires(package) or ()
    except metadata.PackageNotFoundError:
        return ()
    from packaging.requirements import Requirement

    requirements = [Requirement(line) for line in lines]
    return tuple(item.name for item in requirements if item.marker is None or item.marker.evaluate({"extra": ""}))


@cache
def _installed(name: str) -> bool:
    """Tell whether a requirement is there, as a distribution or (onnxruntime-gpu, conda) as a module of its name."""
    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return _findable(name.replace("-", "_"))
    return True


def _mark_duplicates(entries: list[Registration]) -> None:
    owners: dict[tuple[str, str], list[Registration]] = {}
    for entry in entries:
        owners.setdefault((entry.kind, entry.name), []).append(entry)
    for (kind, name), group in owners.items():
        if len(group) > 1 and kind != "plugin":
            packages = " and ".join(sorted({entry.package for entry in group}))
            for entry in group:
                entry.error = f"the {kind} name '{name}' is taken twice, by {packages}"
                entry.install = f"uninstall one of {packages}"


def registrations(kind: str | None = None) -> list[Registration]:
    """Return everything that plugins offer, broken ones included, sorted by kind and name."""
    entries = [entry for entry in _registry().entries if kind in (None, entry.kind)]
    return sorted(entries, key=lambda entry: (entry.kind, entry.name))


def add_commands(cli: click.Group) -> None:
    """Let plugins add their commands; one that fails is left out."""
    manager = _registry().manager
    for plugin in manager.get_plugins():
        hook = getattr(plugin, "register_commands", None)
        if hook is not None:
            try:
                hook(cli=cli)
            except Exception as error:  # noqa: BLE001
                manager.unregister(plugin)
                _registry().entries.append(
                    Registration(
                        "commands",
                        "plugin",
                        str(plugin),
                        "",
                        manager.get_name(plugin) or "?",
                        "?",
                        f"{type(error).__name__}: {_first_line(error)}",
                    )
                )


def load_class(name: str, kind: str) -> type[Any]:
    """Import the class behind a name.

    Raises
    ------
    UsageError
        No such name; the message gives the nearest one, and how to install it where we know.
    PluginError
        The name is there but cannot be loaded.
    """
    entries = {entry.name: entry for entry in registrations(kind)}
    if name not in entries:
        raise UsageError(_unknown(name, kind, entries))
    entry = entries[name]
    if not entry.ok:
        msg = f"The {kind} '{name}' of {entry.package} cannot be used: {entry.error}. To mend it: {entry.install}."
        raise PluginError(msg)
    cls = _imported(entry)
    _check_class(cls, name, kind, entry)
    return cls


def _imported(entry: Registration) -> Any:
    module, _, attribute = entry.target.partition(":")
    lacks = f"{entry.package} needs {', '.join(entry.missing)}, not installed under that name"
    try:
        cls = getattr(importlib.import_module(module), attribute)
    except Exception as error:
        ours = OUR_TRAINERS.get(entry.name, "") if entry.kind == "trainer" else ""
        how = entry.install or _how_to_install(error, entry.package, ours)
        why = _first_line(error) + (f" ({lacks})" if entry.missing else "")
        what = f"{entry.kind} '{entry.name}' of {entry.package} {entry.version}"
        msg = f"The {what} cannot be loaded: {why}. To mend it: {how}."
        raise PluginError(msg) from error
    if entry.missing:  # a plugin may import what it needs only when it runs
        warnings.warn(f"{lacks}; if '{entry.name}' fails: {entry.install}.", AstrosegWarning, stacklevel=4)
    return cls


def _check_class(cls: Any, name: str, kind: str, entry: Registration) -> None:
    from astroseg.finder import SourceFinder
    from astroseg.restorer import Restorer
    from astroseg.trainer import Trainer

    base: Any = {"finder": SourceFinder, "restorer": Restorer, "trainer": Trainer}[kind]
    if not (isinstance(cls, type) and issubclass(cls, base)):
        msg = f"The {kind} '{name}' of {entry.package} is not a {base.__name__}: {entry.target}."
        raise PluginError(msg)
    own = getattr(cls, "name", "")
    if own != name:
        msg = (
            f"The {kind} '{name}' of {entry.package} has a class that calls itself '{own}' ({entry.target}). "
            "Its attribute `name` must be the name that is registered."
        )
        raise PluginError(msg)


def get_finder(name: str, **options: Any) -> SourceFinder:
    """Make a finder by name.

    Parameters
    ----------
    name : str
        As ``astroseg backends`` lists it.
    **options
        Of the finder's constructor.

    Examples
    --------
    >>> from astroseg import get_finder
    >>> get_finder("sigma", threshold=6)
    SigmaFinder(threshold=6)
    """
    return _make(name, "finder", options)


def get_restorer(name: str, **options: Any) -> Restorer:
    """Make a restorer by name; see `get_finder`."""
    return _make(name, "restorer", options)


def get_trainer(name: str, **options: Any) -> Trainer:
    """Make a trainer by name; see `get_finder`."""
    return _make(name, "trainer", options)


def _make(name, kind, options):
    cls = load_class(name, kind)
    for key in options:
        cls.option(key)
    made = cls(**options)
    made.validate()
    return made


def _unknown(name, kind, entries) -> str:
    names = sorted(entries)
    installed = f"Installed: {', '.join(names) or 'none'}."
    ours = {"finder": OURS, "restorer": OUR_RESTORERS, "trainer": OUR_TRAINERS}.get(kind, {})
    if name in ours:
        return (
            f"The {kind} '{name}' is not installed. From a checkout of astroseg: "
            f"pip install -c constraints.txt {ours[name]}. {installed}"
        )
    near = get_close_matches(name, [*names, *ours], n=1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    return f"No {kind} named '{name}'.{hint} {installed}"


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _how_to_install(error: BaseException, package: str, ours: str = "") -> str:
    if isinstance(error, ModuleNotFoundError) and ours:
        return f"pip install -c constraints.txt {ours}"
    if isinstance(error, ModuleNotFoundError) and error.name:
        return f"pip install {error.name.partition('.')[0]}"
    return f"update or uninstall {package}"


def package_of(cls: type) -> tuple[str, str]:
    """Distribution and version that a class comes from; its module where unregistered."""
    target = f"{cls.__module__}:{cls.__qualname__}"
    for entry in _registry().entries:
        if entry.target == target:
            return entry.package, entry.version
    return cls.__module__, "unregistered"
