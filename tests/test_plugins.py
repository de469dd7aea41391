"""Plugins: strangers' modules load one by one, and a broken one is named and harmless."""

from __future__ import annotations

import sys
import types
from importlib import metadata

import pytest

from astroseg import AstrosegWarning, PluginError, UsageError, get_finder, hookimpl, plugins
from astroseg.finder import PixelFinder
from astroseg.plugins import load_class, registrations


class StrangeFinder(PixelFinder):
    """A stranger's."""

    name = "strange"

    def predict(self, batch, **prepared):
        return (batch > 5).astype("f4")


class NoFinder:
    """Not a finder at all."""


class Distribution:
    """As much of a distribution as an entry point needs."""

    def __init__(self, name):
        self.name, self.version = name, "1.2"


class Point:
    """An entry point of a made-up distribution."""

    def __init__(self, name, load, package):
        self.name, self.value, self.dist, self._load = name, f"{package}:plugin", Distribution(package), load

    def load(self):
        return self._load()


def offering(name, target, kind="finders"):
    """A plugin module that registers one name."""
    module = types.ModuleType(f"plugin_{name}")

    @hookimpl
    def hook(register):
        register(name, target, f"The {name} finder")

    setattr(module, f"register_{kind}", hook)
    return module


@pytest.fixture
def entry_points(monkeypatch):
    """Replace the installed entry points, but for the core's own."""
    own = [point for point in metadata.entry_points(group="astroseg") if point.name == "builtin"]

    def install(*points):
        plugins._registry.cache_clear()
        monkeypatch.setattr(metadata, "entry_points", lambda **_: [*own, *points])

    module = types.ModuleType("strangers")
    module.StrangeFinder, module.NoFinder = StrangeFinder, NoFinder
    module.__spec__ = __spec__
    monkeypatch.setitem(sys.modules, "strangers", module)
    yield install
    monkeypatch.undo()
    plugins._registry.cache_clear()


def test_a_stranger_is_found_like_our_own(entry_points):
    entry_points(Point("p", lambda: offering("strange", "strangers:StrangeFinder"), "pkg"))
    assert get_finder("strange").name == "strange"
    entry = next(entry for entry in registrations("finder") if entry.name == "strange")
    assert (entry.ok, entry.package, entry.version) == (True, "pkg", "1.2")
    assert get_finder("sigma").name == "sigma"


def test_a_plugin_that_raises_at_import_is_listed_with_the_reason(entry_points):
    def explode():
        msg = "No module named 'exotic'"
        raise ImportError(msg, name="exotic")

    def leave():
        raise SystemExit

    entry_points(Point("bad", explode, "badpkg"), Point("worse", leave, "worsepkg"))
    broken = {entry.package: entry for entry in registrations() if not entry.ok}
    assert "exotic" in broken["badpkg"].error
    assert broken["worsepkg"].error
    assert get_finder("yen").name == "yen"


def test_a_name_taken_twice_names_both(entry_points):
    entry_points(
        Point("a", lambda: offering("strange", "strangers:StrangeFinder"), "first"),
        Point("b", lambda: offering("strange", "strangers:StrangeFinder"), "second"),
    )
    with pytest.raises(PluginError, match="first and second"):
        get_finder("strange")


def test_our_own_names_cannot_be_taken_silently(entry_points):
    entry_points(Point("a", lambda: offering("sigma", "strangers:StrangeFinder"), "thief"))
    with pytest.raises(PluginError, match="astroseg and thief"):
        get_finder("sigma")


@pytest.mark.parametrize(
    ("target", "fragment"),
    [
        ("nowhere.at.all:Class", "there is no nowhere.at.all:Class"),
        ("strangers", "there is no strangers"),
        ("strangers:Missing", "no attribute 'Missing'"),
        ("strangers:NoFinder", "not a SourceFinder"),
    ],
)
def test_a_target_that_is_no_finder_is_named(entry_points, target, fragment):
    entry_points(Point("a", lambda: offering("odd", target), "oddpkg"))
    with pytest.raises(PluginError, match=fragment) as caught:
        load_class("odd", "finder")
    assert "oddpkg" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_class_must_have_the_name_that_is_registered(entry_points):
    entry_points(Point("a", lambda: offering("other", "strangers:StrangeFinder"), "oddpkg"))
    with pytest.raises(PluginError, match="'other' of oddpkg has a class that calls itself 'strange'"):
        get_finder("other")


@pytest.mark.parametrize("name", ["Bad Name/../x", "", "2nd", "../x", "a b"])
def test_a_name_that_the_command_line_cannot_take_is_listed_as_broken(entry_points, name):
    entry_points(Point("a", lambda: offering(name, "strangers:StrangeFinder"), "oddpkg"))
    entry = next(entry for entry in registrations("finder") if entry.package == "oddpkg")
    assert not entry.ok
    assert "is no name" in entry.error
    with pytest.raises(PluginError, match="is no name"):
        get_finder(name)


@pytest.fixture
def lacking(entry_points, monkeypatch):
    """A plugin whose distribution lists requirements that are not installed under their names."""
    plugins._required.cache_clear()
    plugins._installed.cache_clear()
    monkeypatch.setattr(metadata, "requires", lambda _: ["exotic-cuda>=2", "numpy"])
    entry_points(
        Point("p", lambda: offering("strange", "strangers:StrangeFinder"), "pkg"),
        Point("q", lambda: offering("odd", "strangers:Missing"), "oddpkg"),
    )
    yield
    plugins._required.cache_clear()
    plugins._installed.cache_clear()


def test_a_requirement_that_is_missing_is_a_remark(lacking):
    entry = next(entry for entry in registrations("finder") if entry.name == "strange")
    assert (entry.ok, entry.install) == (True, "pip install exotic-cuda")
    assert "not installed under that name: exotic-cuda" in entry.summary
    with pytest.warns(AstrosegWarning, match="pkg needs exotic-cuda.*if 'strange' fails: pip install exotic-cuda"):
        assert get_finder("strange").name == "strange"


def test_a_requirement_that_is_missing_is_named_where_the_import_fails(lacking):
    with pytest.raises(PluginError, match=r"needs exotic-cuda.*To mend it: pip install exotic-cuda"):
        get_finder("odd")


def test_a_requirement_under_another_name_is_no_remark(lacking, monkeypatch):
    monkeypatch.setitem(sys.modules, "exotic_cuda", sys.modules["strangers"])
    assert all("not installed" not in entry.summary for entry in registrations("finder"))
    assert get_finder("strange").name == "strange"


def test_a_hook_that_raises_costs_its_own_plugin_only(entry_points):
    module = types.ModuleType("raising")

    @hookimpl
    def register_finders(register):
        msg = "no good"
        raise ValueError(msg)

    module.register_finders = register_finders
    entry_points(
        Point("r", lambda: module, "raising"), Point("p", lambda: offering("strange", "strangers:StrangeFinder"), "pkg")
    )
    assert any("no good" in entry.error for entry in registrations())
    assert get_finder("strange").name == "strange"


def test_unknown_names_get_a_suggestion():
    with pytest.raises(UsageError, match="Did you mean 'sigma'"):
        get_finder("sigmaa")


def test_unknown_options_get_a_suggestion():
    with pytest.raises(UsageError, match="Did you mean 'threshold'"):
        get_finder("sigma", treshold=3)


def test_a_finder_of_ours_that_is_not_installed_says_how(entry_points):
    entry_points()
    with pytest.raises(UsageError, match=r"pip install -c constraints.txt ./plugins/astroseg-bdsf"):
        get_finder("bdsf")


def test_commands_of_plugins_are_added_and_broken_ones_left_out(entry_points):
    import click

    module, bad = types.ModuleType("commanding"), types.ModuleType("failing")

    @hookimpl
    def register_commands(cli):
        cli.add_command(click.Command("extra"))

    @hookimpl
    def fail(cli):
        msg = "broken command"
        raise RuntimeError(msg)

    module.register_commands, bad.register_commands = register_commands, fail
    entry_points(Point("c", lambda: module, "cpkg"), Point("f", lambda: bad, "fpkg"))
    group = click.Group()
    plugins.add_commands(group)
    assert list(group.commands) == ["extra"]
    assert any("broken command" in entry.error for entry in registrations())
