"""What must not be imported is not, and the public surface changes on purpose only."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import astroseg

HEAVY = {"torch", "photutils", "matplotlib", "regions", "skimage", "pandas"}
ROOT = Path(__file__).parents[1]

PUBLIC = [
    "AstrosegError", "AstrosegWarning", "Beam", "Detections", "NoDetectionsWarning", "PixelFinder", "PluginError",
    "Restorer", "SourceFinder", "Trainer", "UsageError", "__version__", "find", "get_finder", "get_restorer",
    "get_trainer", "hookimpl", "measure", "read_catalog", "read_image", "standardize",
]  # fmt: skip


def loaded_by(code: str) -> set[str]:
    """Top-level modules that a fresh interpreter has after running ``code``."""
    tail = "; import sys, json; sys.stderr.write(json.dumps(sorted({n.partition('.')[0] for n in sys.modules})))"
    done = subprocess.run([sys.executable, "-c", code + tail], capture_output=True, text=True, check=True)
    return set(json.loads(done.stderr.splitlines()[-1]))


def run_cli(*words: str) -> str:
    return (
        f"import contextlib, astroseg.cli\nwith contextlib.suppress(SystemExit): astroseg.cli.main({list(words)})\nNone"
    )


def test_import_is_light():
    assert not loaded_by("import astroseg") & (HEAVY | {"astropy", "numpy", "click"})


def test_help_is_light():
    assert not loaded_by(run_cli("--help")) & (HEAVY | {"astropy", "numpy"})


def test_backends_is_light():
    assert not loaded_by(run_cli("backends")) & HEAVY


def test_finding_with_sigma_needs_no_plotting():
    code = "import numpy, astroseg; astroseg.find(numpy.random.default_rng(1).normal(size=(64, 64)) + 0, 'sigma')"
    assert not loaded_by("import warnings; warnings.simplefilter('ignore'); " + code) & HEAVY


def test_the_public_surface_is_this():
    assert astroseg.__all__ == sorted(PUBLIC)
    for name in PUBLIC:
        assert getattr(astroseg, name) is not None
    with pytest.raises(AttributeError, match="nothing"):
        astroseg.nothing  # noqa: B018


def imported(path: Path) -> set[tuple[str, str]]:
    """(module, name) pairs that a file imports."""
    pairs = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            pairs |= {(node.module, item.name) for item in node.names}
        elif isinstance(node, ast.Import):
            pairs |= {(item.name, "") for item in node.names}
    return pairs


def test_the_core_never_imports_a_plugin():
    for path in (ROOT / "astroseg").rglob("*.py"):
        if "template" not in path.parts:
            assert not [module for module, _ in imported(path) if module.startswith("astroseg_")], path


@pytest.mark.parametrize("path", sorted((ROOT / "plugins").glob("*/src/**/*.py")), ids=lambda path: path.name)
def test_plugins_import_public_names_only(path):
    private = [
        (module, name)
        for module, name in imported(path)
        if module.partition(".")[0] == "astroseg"
        and any(part.startswith("_") and part != "__version__" for part in (*module.split("."), name))
    ]
    assert not private
