"""Writes the parts of the reference that are made from the code: ``python docs/generate.py``.

Each part stands between two comments, ``.. generated: NAME`` and ``.. end``. tests/test_docs.py fails where
one differs from what this script would write.
"""

from __future__ import annotations

import importlib
import os
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import click

from astroseg.catalog import COLUMNS, FLAGS, FORMATS
from astroseg.cli import COMMANDS, cli
from astroseg.plugins import load_class
from astroseg.report.ranking import COLUMNS as SCORES
from astroseg.report.ranking import UNITS as UNITS_OF_SCORES
from astroseg.testing import CHECKS, RESTORER_CHECKS

HERE = Path(__file__).parent
PART = re.compile(r"(?<=^\.\. generated: )(?P<name>\w+)\n.*?(?=^\.\. end$)", re.DOTALL | re.MULTILINE)
BACKENDS = {"finder": ("sigma", "peaks", "yen", "otsu", "triangle"), "restorer": ("clean",)}
UNITS = {
    "": "",
    "image": "of the image",
    "flux": "Jy, or that of the image times pix",
    "size": "arcsec, or pix without a scale",
}
SKY = {"equatorial": "celestial images", "helioprojective": "solar images", "heliographic": "solar synoptic maps"}


def commands() -> dict[str, click.Command]:
    """Every command of the core, with its subcommands: ``simulate``, ``simulate radio``, ..."""
    found: dict[str, click.Command] = {}
    for name, (module, _) in COMMANDS.items():
        command = importlib.import_module(module).command
        found[name] = command
        for sub, part in getattr(command, "commands", {}).items():
            found[f"{name} {sub}"] = part
    return found


def help_text(name: str, command: click.Command) -> str:
    """What ``astroseg NAME --help`` prints on a terminal of 80 columns."""
    path = ["astroseg", *name.split()]
    context = click.Context(cli, info_name=path[0])
    for part in path[1:-1]:
        context = click.Context(cli, info_name=part, parent=context)
    context = click.Context(command, info_name=path[-1], parent=context, **command.context_settings)
    context.terminal_width, context.help_option_names = 80, ["-h", "--help"]
    return command.get_help(context)


def write_commands() -> Iterator[str]:
    """The help of every command."""
    for name, command in commands().items():
        yield from (f"astroseg {name}", "-" * len(f"astroseg {name}"), "", ".. code-block:: text", "")
        yield textwrap.indent(help_text(name, command), "    ")
        yield ""


def write_columns() -> Iterator[str]:
    """The table of the columns."""
    rows = [
        (f"``{column.name}``", UNITS.get(column.unit, column.unit), f"``{column.ucd}``", column.dtype, _about(column))
        for column in COLUMNS
    ]
    return table(("Column", "Unit", "UCD", "Type", "Meaning"), rows)


def _about(column) -> str:
    only = f" ({SKY[column.sky]})" if column.sky else ""
    return column.description.replace("*", r"\*") + only


def write_flags() -> Iterator[str]:
    """The table of the bits."""
    return table(("Bit", "The source"), [(str(bit), text) for bit, text in FLAGS.items()])


def write_formats() -> Iterator[str]:
    """The table of catalogue formats."""
    return table(("Format", "Ending"), [(f"``{name}``", f"``{end}``") for name, end in FORMATS.items()])


def write_scores() -> Iterator[str]:
    """The table of the scores of a comparison."""
    rows = [(f"``{name}``", UNITS_OF_SCORES.get(name, ""), text.replace("*", r"\*")) for name, text in SCORES.items()]
    return table(("Column", "Unit", "Meaning"), rows)


def write_finders() -> Iterator[str]:
    """Options of the finders and restorers of the core."""
    for name, kind in ((name, kind) for kind, names in BACKENDS.items() for name in names):
        cls = load_class(name, kind)
        yield from (name, "-" * len(name), "", (cls.__doc__ or "").splitlines()[0], "")
        rows = [
            (f"``{key}``", option.kind, f"``{option.default}``", option.unit, option.meaning)
            for key, option in cls.options().items()
        ]
        yield from table(("Option", "Takes", "Default", "Unit", "Meaning"), rows)
        yield from (f"Cite: {cls.citation}.", "")


def write_checks() -> Iterator[str]:
    """What the conformance kit asserts."""
    for title, checks in (("Finders", CHECKS), ("Restorers", RESTORER_CHECKS)):
        yield from (title, "-" * len(title), "")
        summaries = {name: " ".join((check.__doc__ or "").split("\n\n")[0].split()) for name, check in checks.items()}
        yield from table(("Check", "Asserts"), [(f"``{name}``", text) for name, text in summaries.items()])


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    """Yield the lines of a reStructuredText list table."""
    yield from (".. list-table::", "   :header-rows: 1", "")
    for row in (head, *rows):
        for number, cell in enumerate(row):
            yield f"   {'*' if number == 0 else ' '} - {cell}".rstrip()
    yield ""


PARTS: dict[str, Callable[[], Iterable[str]]] = {
    "commands": write_commands,
    "columns": write_columns,
    "flags": write_flags,
    "formats": write_formats,
    "scores": write_scores,
    "finders": write_finders,
    "checks": write_checks,
}


def generated(page: str) -> str:
    """Return the page with its parts made anew."""
    return PART.sub(lambda match: "\n".join((match["name"], "", *PARTS[match["name"]](), "")), page)


def pages() -> dict[Path, str]:
    """Return the pages that hold a generated part."""
    texts = {path: path.read_text(encoding="utf-8") for path in sorted((HERE / "reference").glob("*.rst"))}
    return {path: text for path, text in texts.items() if PART.search(text)}


if __name__ == "__main__":
    os.environ["COLUMNS"] = "80"
    for path, text in pages().items():
        path.write_text(generated(text), encoding="utf-8")
