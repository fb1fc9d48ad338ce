"""Configuration of the documentation; ``make docs`` builds it, with warnings as errors."""

import os
import re

from deepinv.utils.plotting import disable_tex, set_default_plot_fontsize
from docutils import nodes
from latex2mathml.converter import convert
from sphinx_gallery.sorting import ExplicitOrder

# the same fonts on every machine
disable_tex()
set_default_plot_fontsize(12)

project = "daep-prior"
author = "The daep-prior authors"
copyright = author

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
]
# links to other documentation need a network, so only the published site has them
if "READTHEDOCS" in os.environ:
    extensions.append("sphinx.ext.intersphinx")
intersphinx_mapping = {
    "deepinv": ("https://deepinv.github.io/deepinv/", None),
    "torch": ("https://docs.pytorch.org/docs/stable/", None),
}

#: Packages with an API page.
PACKAGES = ("daep_prior", "daep_deepinv", "daep_compare", "daep_pyproximal", "daep_scico")

exclude_patterns = ["_build"]
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings say types, with shapes and ranges
autodoc_preserve_defaults = True
copybutton_exclude = ".linenos, .gp, .go"

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "ignore_pattern": r"(^|/)(?!plot_)[^/]*\.py$",
    "within_subsection_order": ExplicitOrder(
        [
            "plot_deblurring.py",
            "plot_blind_deblurring.py",
            "plot_super_resolution.py",
            "plot_inpainting.py",
            "plot_denoising.py",
            "plot_swap_prior.py",
            "plot_compare_admm.py",
            "plot_custom_operator.py",
            "plot_custom_denoiser.py",
            "plot_training.py",
            "plot_pyproximal.py",
            "plot_scico.py",
            "plot_mean_shift_2d.py",
            "*",
        ]
    ),
    "capture_repr": (),
    "image_scrapers": ("matplotlib",),
    "abort_on_example_error": True,
    "remove_config_comments": True,
    "show_memory": False,
    "write_computation_times": False,
    "reference_url": dict.fromkeys(PACKAGES),
    "doc_module": PACKAGES,
    "backreferences_dir": "auto_examples/backreferences",
}

html_math_renderer = "mathml"
html_static_path = ["static"]
html_css_files = ["formulas.css"]
html_theme = "pydata_sphinx_theme"
html_title = "daep-prior"
html_theme_options = {
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "secondary_sidebar_items": {"**": ["page-toc", "sg_download_links"]},
}
# wide tables and figures, or no pages below
html_sidebars = {page: [] for page in ("installation", "results", "methods", "citing")}
html_show_sourcelink = False


def show_picture(app, docname, source):
    """Show the picture of a table or figure below the title of its page, which ``benchmarks/paper.py`` writes."""
    folder, _, name = docname.partition("/")
    if folder == "paper":
        title, rest = source[0].split("\n", 1)
        source[0] = f"{title}\n\n![{title.lstrip('# ')}](/images/paper/{name}.png)\n{rest}"


def mathml(display):
    """A formula as MathML, which browsers show without a script that would be loaded from the network."""

    def visit(translator, node):
        text = re.sub(r"(\\math\w+) (\w)", r"\1{\2}", node.astext().replace("{aligned}", "{align*}"))
        if "&" in text and r"\begin" not in text:
            text = rf"\begin{{align*}}{text}\end{{align*}}"
        translator.body.append(convert(text, display=display))
        raise nodes.SkipNode

    return visit, None


def setup(app):
    app.connect("source-read", show_picture)
    app.add_html_math_renderer("mathml", mathml("inline"), mathml("block"))
