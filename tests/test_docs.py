"""README and docs say what is true: their commands and snippets run, and what is made from the code is up to date."""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import inspect
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import astroseg
from astroseg import catalog, cli, hookspecs, plugins
from astroseg.testing import make_field

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.rst") if "_build" not in path.parts and "api" not in path.parts)
TEXTS = [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MODULES = sorted(
    f"astroseg.{path.stem}" for path in (ROOT / "astroseg").glob("*.py") if not path.stem.startswith("_")
)  # fmt: skip
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE | doctest.IGNORE_EXCEPTION_DETAIL


def page_id(path):
    return path.relative_to(ROOT).as_posix()


def blocks(text, language):
    """The ``code-block`` directives of a page, without their indentation."""
    found = re.findall(rf"^\.\. code-block:: {language}\n\n((?:    .*\n|\n)+)", text, re.MULTILINE)
    return [inspect.cleandoc(block) for block in found]


def readme_block(mark):
    return re.search(rf"<!-- {mark} -->\n```bash\n(.*?)```", README, re.DOTALL)[1]


def sessions(text):
    """Commands of the console blocks of a page, each with the output that the page shows."""
    for block in blocks(text, "console"):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            yield command, output


# Commands


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "catalogs").symlink_to(ROOT / "catalogs")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    yield tmp_path
    forget_plugins()


def forget_plugins():
    for name in ("_registry", "_required", "_installed"):
        getattr(plugins, name).cache_clear()


def run(command, capsys):
    """Run one ``astroseg`` command here; return what it printed."""
    words = shlex.split(command)
    assert words[0] == "astroseg", f"console blocks hold astroseg commands, not {command!r}"
    with pytest.raises(SystemExit):
        cli.main(words[1:])
    captured = capsys.readouterr()
    return captured.out + captured.err


def install(package, site):
    """What ``pip install`` leaves behind, as far as entry points go: the tests need no network."""
    project = tomllib.loads((package / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    info = site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    points = project["entry-points"]["astroseg"].items()
    (info / "entry_points.txt").write_text("[astroseg]\n" + "".join(f"{key} = {value}\n" for key, value in points))
    for source in (package / "src").iterdir():
        (site / source.name).symlink_to(source)


@pytest.mark.parametrize("page", [page for page in PAGES if list(sessions(page.read_text("utf-8")))], ids=page_id)
def test_commands(page, folder, capsys, monkeypatch):
    monkeypatch.syspath_prepend(folder / "site")
    forget_plugins()
    for command, shown in sessions(page.read_text(encoding="utf-8")):
        printed = run(command, capsys)
        matches = doctest.OutputChecker().check_output(f"{shown.strip()}\n", f"{printed.strip()}\n", FLAGS)
        assert matches, f"$ {command}\n{printed}\n-- but the page shows --\n{shown}"
        if command.startswith("astroseg new-plugin"):
            install(folder / f"astroseg-{command.split()[-1]}", folder / "site")
            forget_plugins()


@pytest.mark.parametrize(
    ("mark", "number", "plugin"), [("the main job", 1, "astroseg_networks"), ("other finders", 2, "astroseg_bdsf")]
)
def test_main_job_of_the_readme(folder, capsys, mark, number, plugin):
    pytest.importorskip(plugin)
    commands = [line.removesuffix(" &&") for line in readme_block(mark).splitlines() if "astroseg find" in line]
    assert len(commands) == number
    for command in commands:
        name = shlex.split(command)[4]
        assert f"sources by {name}" in run(command, capsys)
        for end in (".ecsv", ".reg", ".labels.fits", ".png"):
            assert (folder / "results" / f"radio-sdc1.{name}{end}").stat().st_size > 0


def test_ci_runs_the_test_command_of_the_readme():
    done = subprocess.run(["bash", ".ci/run", "--print"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == readme_block("the tests")


@pytest.mark.parametrize("path", TEXTS, ids=page_id)
def test_installs_are_by_path(path):
    """No name that nobody owns is advertised, and every path is there."""
    for line in re.findall(r"pip install ([^\n`]*)", path.read_text(encoding="utf-8")):
        words = shlex.split(line.partition("&&")[0].replace("\\", ""))
        paths = [word.partition("[")[0] for word in words if word.startswith(".")]
        assert not paths or words[:2] == ["-c", "constraints.txt"]
        missing = [place for place in paths if not (ROOT / place / "pyproject.toml").exists()]
        assert not missing
        others = {word for word in words if word.startswith("astroseg")}
        assert others <= {"astroseg-k-sigma"}  # the folder that `astroseg new-plugin k-sigma` makes


def test_python_of_the_readme(folder):
    snippet = re.search(r"```python\n(>>>.*?)```", README, re.DOTALL)[1]
    test = doctest.DocTestParser().get_doctest(snippet, {}, "README.md", "README.md", 0)
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    printed = []
    assert runner.run(test, out=printed.append).failed == 0, "".join(printed)


# What is made from the code


@pytest.fixture(scope="module")
def generate():
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_generated_parts_are_up_to_date(generate, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    pages = generate.pages()
    found = [name for text in pages.values() for name in re.findall(r"^\.\. generated: (\w+)$", text, re.MULTILINE)]
    assert sorted(found) == sorted(generate.PARTS)
    for path, text in pages.items():
        # Releases of click differ in how they break lines.
        assert generate.generated(text).split() == text.split(), f"run docs/generate.py: {page_id(path)} is out of date"


def test_every_option_of_every_command_is_explained(generate):
    page = (DOCS / "reference" / "command-line.rst").read_text(encoding="utf-8")
    assert set(cli.COMMANDS) <= set(generate.commands())
    for name, command in generate.commands().items():
        assert f"\nastroseg {name}\n---" in page
        for parameter in command.params:
            if parameter.param_type_name == "option":
                assert parameter.help, f"{parameter.opts} of {name} has no help"
                assert parameter.opts[0] in page


def test_every_column_flag_and_format_is_explained():
    columns = (DOCS / "reference" / "columns.rst").read_text(encoding="utf-8")
    files = (DOCS / "reference" / "files.rst").read_text(encoding="utf-8")
    for column in catalog.COLUMNS:
        assert f"``{column.name}``" in columns
    for bit, text in catalog.FLAGS.items():
        assert f"- {bit}\n     - {text}" in columns
    for form, end in catalog.FORMATS.items():
        assert f"``{form}``\n     - ``{end}``" in files


def test_provenance_is_explained():
    page = (DOCS / "reference" / "columns.rst").read_text(encoding="utf-8")
    for key in astroseg.find(make_field()[0], "sigma").catalog.meta:
        assert f"``{key}``" in page


def test_every_hook_is_documented():
    api = (DOCS / "reference" / "api.rst").read_text(encoding="utf-8")
    howto = (DOCS / "howto" / "plugin.rst").read_text(encoding="utf-8")
    hooks = [name for name, value in vars(hookspecs).items() if getattr(value, "astroseg_spec", None) is not None]
    assert len(hooks) == 4
    for name in hooks:
        assert inspect.getdoc(getattr(hookspecs, name))
        assert f"autofunction:: astroseg.hookspecs.{name}" in api
        assert f"``{name}" in howto or f"def {name}(" in howto


def test_every_file_of_the_core_is_on_the_map():
    page = (DOCS / "explanation" / "architecture.rst").read_text(encoding="utf-8")
    for path in (ROOT / "astroseg").iterdir():
        if path.suffix == ".py" and not path.stem.startswith("_"):
            assert f"``{path.name}``" in page
        if (path / "__init__.py").exists():
            assert f"``{path.name}/``" in page


# The public API


def public_functions():
    """Public functions and methods of the core."""
    for name in MODULES:
        module = importlib.import_module(name)
        for public in getattr(module, "__all__", ()):
            value = getattr(module, public)
            if inspect.isfunction(value):
                yield f"{name}.{public}", value
            elif inspect.isclass(value):
                yield from (
                    (f"{name}.{public}.{key}", inspect.unwrap(getattr(method, "__func__", method)))
                    for key, method in vars(value).items()
                    if inspect.isfunction(getattr(method, "__func__", method)) and not key.startswith("_")
                )


@pytest.mark.parametrize(("name", "function"), [pytest.param(*pair, id=pair[0]) for pair in public_functions()])
def test_public_functions_are_annotated_and_documented(name, function):
    signature = inspect.signature(function)
    given = [item for key, item in signature.parameters.items() if key not in ("self", "cls")]
    assert all(item.annotation is not inspect.Parameter.empty for item in given)
    assert signature.return_annotation is not inspect.Signature.empty
    text = inspect.getdoc(function)
    assert text
    if "Parameters\n---" in text:
        told = text[text.index("Parameters\n---") :]
        missing = [item.name for item in given if not re.search(rf"^[\w, *]*\b{item.name}\b", told, re.MULTILINE)]
        assert not missing


def test_docs_build_without_warnings(tmp_path):
    pytest.importorskip("sphinx_astropy")
    build = ["sphinx", "-q", "-W", "--keep-going", "-D", "disable_intersphinx=1", "-d", str(tmp_path / "doctrees")]
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [sys.executable, "-m", *build, str(DOCS), str(tmp_path / "html")],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
