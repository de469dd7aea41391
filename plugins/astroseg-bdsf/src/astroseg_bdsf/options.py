"""PyBDSF's own options: their names, types, defaults and sentences."""

import difflib
import functools
import importlib
import importlib.util
import re
import sys
import types
from typing import Any, NamedTuple

__all__ = ["OptionSpec", "check", "option_specs", "parse"]

_PLAIN = (bool, int, float, tuple, list, type(None))

_FILES = "astroseg writes the files"
_ALONE = "PyBDSF runs unattended, in a folder of its own"
_PLANE = "a finder gets one plane"
_LISTING = "it only changes which options PyBDSF lists"
_EXPORT = "it belongs to PyBDSF's viewer and export commands"

_REFUSED = {
    _ALONE: "filename indir outdir interactive quiet print_timing verbose_fitting",
    _FILES: """output_all opdir_overwrite solnname plot_allgaus plot_islands bbs_patches
        bbs_patches_mask savefits_det_meanim savefits_det_rmsim savefits_meanim
        savefits_modelim savefits_normim savefits_rankim savefits_residim savefits_rmsim""",
    _PLANE: """beam_sp_derive beam_spectrum collapse_av collapse_ch0 collapse_file
        collapse_mode collapse_wt flagchan_list flagchan_rms flagchan_snr frequency_sp
        specind_maxchan specind_snr spectralindex_do polarisation_do pi_fit pi_thresh_isl
        pi_thresh_pix rm_do""",
    _LISTING: "advanced_opts flagging_opts multichan_opts output_opts",
    _EXPORT: """broadcast catalog_type ch0_flagged ch0_image ch0_islands clobber correct_proj
        force_output format gmodel_image gresid_image img_format img_type incl_chan
        incl_empty mask_dilation mean_image outfile pad_image pi_image psf_major psf_minor
        psf_pa rms_image smodel_image source_seds srcroot sresid_image""",
    "give the maps as arrays (background, rms)": "rmsmean_map_filename",
    "it needs a second file on the same grid": "detection_image rmsmean_map_filename_det",
    "it reads a file": "psf_gencode psf_primarygen",
    "without the whole chain there are no sources": "stop_at",
    "cut the image before it is given to the finder": "trim_box",
}
_REASONS = {name: reason for reason, names in _REFUSED.items() for name in names.split()}


class OptionSpec(NamedTuple):
    """What PyBDSF says about one of its options."""

    type: str
    default: Any
    doc: str


class _Option(NamedTuple):
    """One of PyBDSF's option objects: its type handler, default and text."""

    handler: Any
    default: Any
    doc: str


@functools.cache
def _table():
    """PyBDSF's option objects by name, read without importing PyBDSF itself."""
    # `import bdsf` takes over a second, loads matplotlib and changes NumPy's
    # error state; its table of options needs only two modules of the package.
    package = types.ModuleType(f"{__name__}_of_bdsf")
    package.__path__ = list(importlib.util.find_spec("bdsf").submodule_search_locations)
    sys.modules[package.__name__] = package
    table = importlib.import_module(f"{package.__name__}.opts").Opts().to_list()
    return {name: _Option(option._type, option._default, option.doc()) for name, option in table}  # noqa: SLF001


def option_specs() -> dict[str, OptionSpec]:
    """
    List the options that can be passed on to PyBDSF.

    Returns
    -------
    specs : dict of `OptionSpec`
        Type (in words), default and sentence of each option, by name.
    """
    return {
        name: OptionSpec(_words(option.handler), option.default, _sentence(option.doc))
        for name, option in _table().items()
        if name not in _REASONS
    }


def parse(name: str, text: str) -> Any:
    """
    Read the value of an option from text, by the option's type.

    Parameters
    ----------
    name : str
        Name of the option, as PyBDSF spells it.

    text : str
        The value: ``none`` where the option allows it, ``true`` or ``false``,
        a number, a word; several numbers are separated by commas, spaces or
        semicolons (``60,20``), several tuples by semicolons
        (``150.1,2.2; 150.3,2.4``).

    Returns
    -------
    value : object
        The value, ready for `check`.
    """
    handler = _find(name).handler
    try:
        return handler.cast(_read(handler, text.strip()))
    except Exception as error:
        raise _bad_value(name, text, handler) from error


def check(options: dict[str, Any]) -> dict[str, Any]:
    """
    Check a set of options and bring each value to its type.

    Parameters
    ----------
    options : dict
        Values by name; text is read as in `parse`.

    Returns
    -------
    options : dict
        The same, each value cast to the option's type.
    """
    checked = {}
    for name, value in options.items():
        handler = _find(name).handler
        if isinstance(value, str):  # PyBDSF would take any text for a true bool
            checked[name] = parse(name, value)
            continue
        if not isinstance(value, _PLAIN):  # nor is any object
            raise _bad_value(name, value, handler)
        try:
            checked[name] = handler.cast(value)
        except Exception as error:
            raise _bad_value(name, value, handler) from error
    return checked


def _find(name):
    table = _table()
    if name in _REASONS:
        msg = f"The PyBDSF option {name!r} cannot be set here: {_REASONS[name]}."
        raise ValueError(msg)
    if name not in table:
        near = difflib.get_close_matches(name, table.keys() - _REASONS.keys(), n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        msg = f"PyBDSF has no option {name!r}.{hint}"
        raise ValueError(msg)
    return table[name]


def _bad_value(name, value, handler):
    return ValueError(f"The PyBDSF option {name!r} takes {_words(handler)}, not {value!r}.")


def _sentence(doc):
    return " ".join(doc.split("\n")[0].split())


def _words(handler):
    """Type of a handler in words: 'float or None', '(int, int)', ..."""
    kind = type(handler).__name__
    if kind == "tcOption":
        return f"{_words(handler.type)} or None"
    if kind == "tcCType":
        return handler.type.__name__
    if kind == "tcEnum":
        return " or ".join(repr(value) for value in handler.values)
    if kind == "tcTuple":
        return f"({', '.join(_words(part) for part in handler.tcs)})"
    return f"list of {_words(handler.type)}"


def _read(handler, text):
    """Turn text into the plain value that ``handler`` expects."""
    kind = type(handler).__name__
    if kind == "tcOption":
        return None if text.lower() in {"", "none"} else _read(handler.type, text)
    if kind == "tcEnum":
        return {str(value).lower(): value for value in handler.values}[text.lower()]
    if kind == "tcTuple":
        parts = re.split(r"[,;\s]+", text.strip("()[] "))
        return [_read(part, value) for part, value in zip(handler.tcs, parts, strict=True)]
    if kind == "tcList":
        return [_read(handler.type, part) for part in text.strip("[] ").split(";")]
    if handler.type is bool:
        return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[text.lower()]
    return handler.type(text)
