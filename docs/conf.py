"""Sphinx, with Astropy's settings."""

from sphinx_astropy.conf.v2 import *  # noqa: F403
from sphinx_astropy.conf.v2 import exclude_patterns, extensions, numpydoc_xref_ignore

import astroseg

project = "astroseg"
author = "The astroseg developers"
copyright = author  # noqa: A001 - Sphinx wants this name
release = version = astroseg.__version__

# Only what the text links to; `-D disable_intersphinx=1` builds without a network.
intersphinx_mapping = {
    "python": ("https://docs.python.org/3/", None),
    "numpy": ("https://numpy.org/doc/stable/", None),
    "astropy": ("https://docs.astropy.org/en/stable/", None),
    "matplotlib": ("https://matplotlib.org/stable/", None),
    "photutils": ("https://photutils.readthedocs.io/en/stable/", None),
    "regions": ("https://astropy-regions.readthedocs.io/en/stable/", None),
}
extensions = [name for name in extensions if name != "sphinx_astropy.ext.generate_config"]
exclude_patterns = [*exclude_patterns, "_build", "changes"]
html_title = "astroseg"
html_theme_options = {"navigation_depth": 3, "show_toc_level": 2, "icon_links": []}
html_show_sourcelink = False
numpydoc_xref_param_type = False
numpydoc_xref_ignore |= {"path"}
