"""The web site, for Sphinx: the stored notebooks, the pages of docs/ and the docstrings, and nothing from elsewhere.

`make site` builds it into build/site. No notebook runs: its stored outputs are shown, and the dashboards that only read
measured results are drawn at every position of their controls (frames.py). What makes a page out of a notebook is in
pages.py, the list of public names in reference.py.
"""

import os
import re
import shutil
import sys
from pathlib import Path

from docutils import nodes
from latex2mathml.converter import convert

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(ROOT), str(HERE)]

import pages  # noqa: E402
import reference  # noqa: E402

from w2s_lab.version import __version__  # noqa: E402

# Where the clone can be fetched from, such as https://github.com/NAME/w2s_lab: with it, the notebooks get badges and a
# cell that installs the kit, and links to files lead to that host. Empty: neither, and such links are plain text.
REPOSITORY = os.environ.get("W2S_LAB_REPOSITORY", "")

project, author, copyright = "w2s_lab", "The w2s_lab authors", "the w2s_lab authors, MIT licence"
version = release = __version__
language = "en"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]

MODULES = reference.pages()  # name of a page -> module: its source stands for it, so that none has to be written

# The sources lie where a code host shows them; the root is the README.
root_doc = "README"
include_patterns = [
    "*.md", "docs/*.md", "data/README.md", "data/results/README.md", "notebooks/*.ipynb", "notebooks/README.md",
    "notebooks/assignments/README.md", "docs/site/api/index.rst", *(f"{name}.py" for name in MODULES),
]  # fmt: skip
# Not searched for pages: what is installed, fetched and computed here, tens of thousands of files.
exclude_patterns = [".*", "build", "dist", "my_notebooks", "runs", "tests"]
source_suffix = {".rst": "restructuredtext", ".py": "restructuredtext"}  # beside those of myst_nb
nb_custom_formats = {".ipynb": ("pages.read", {"repository": REPOSITORY})}
nb_execution_mode = "off"
nb_render_markdown_format = "myst"
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 6
myst_heading_slug_func = "pages.slug"

default_role = "py:obj"  # `name` in a docstring: a link where the reference has that name, else its letters
autodoc_default_options = {"members": True, "member-order": "bysource", "exclude-members": "__init__, __new__"}
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
napoleon_use_rtype = False
python_use_unqualified_type_names = True
toc_object_entries_show_parents = "hide"
viewcode_line_numbers = True

html_theme = "furo"
html_title = "w2s_lab"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_js_files = ["site.js"]
html_copy_source = False
html_show_sphinx = False
pygments_style, pygments_dark_style = "a11y-high-contrast-light", "a11y-high-contrast-dark"

INDEX = "docs/site/api/index"  # of the reference
CONTENTS = {
    "Learn": ["docs/notebooks", *(f"notebooks/{path.stem}" for path in sorted((ROOT / "notebooks").glob("*.ipynb")))],
    "Teach": ["docs/teach", "docs/demos", "docs/assignments", "notebooks/assignments/README", "docs/equality"],
    "What it shows": ["docs/findings", "docs/real_english", "docs/practice", "data/README", "data/results/README"],
    "Use": [
        "docs/install", "docs/commands", "docs/python", "docs/reading", "docs/methods", "docs/extending",
        "docs/real_models", "docs/speed", "docs/store", "docs/versions",
    ],
    "Look up": [INDEX, "docs/vocabulary", "docs/references", "docs/architecture"],
    "More": ["docs/README", "docs/web", "notebooks/README", "CONTRIBUTING", "CHANGELOG"],
}  # fmt: skip


def prepare(app, name, source):
    """Links to files that are no pages; at the end of the README the contents, as hidden lists; the reference."""
    path = Path(app.env.doc2path(name))
    if name in MODULES:
        source[0] = reference.page(MODULES[name])
    elif name == INDEX:
        source[0] += reference.listed()
    if path.suffix != ".md":
        return

    def elsewhere(link):
        words, target = link.groups()
        file = (path.parent / target).resolve()
        if ":" in target or not file.exists() or app.env.path2doc(str(file)) in app.env.found_docs:
            return link[0]
        # The code host has it. Without one it is plain text: the site holds no copies of files, nor of the solutions.
        return f"[{words}]({REPOSITORY}/tree/HEAD/{file.relative_to(ROOT).as_posix()})" if REPOSITORY else words

    source[0] = re.sub(r"(?<!!)\[([^]]*)\]\(([^)\s#]+)\)", elsewhere, source[0])
    if name == root_doc:
        listed = {page for group in CONTENTS.values() for page in group}
        new = sorted({f"docs/{page.stem}" for page in (ROOT / "docs").glob("*.md")} - listed)
        for title, group in (CONTENTS | {"More": CONTENTS["More"] + new}).items():
            source[0] += f"\n```{{toctree}}\n:hidden:\n:caption: {title}\n\n" + "\n".join(group) + "\n```\n"


def math(self, node):
    """A formula as MathML, which browsers draw and screen readers read without a script."""
    block = isinstance(node, nodes.math_block)
    latex = re.sub(r"\\arg(?![a-z])", r"\\operatorname{arg}", node.astext())
    shown = convert(latex, display="block" if block else "inline")
    self.body.append(f"<div class='math'>{shown}</div>" if block else shown)
    raise nodes.SkipNode


def finish(app, error):
    """The front page under the name that servers look for, and what the badges open."""
    if not error and app.builder.name == "html":
        shutil.copy(Path(app.outdir, "README.html"), Path(app.outdir, "index.html"))
        if REPOSITORY:
            pages.write_copies(Path(app.outdir), REPOSITORY)


def setup(app):
    app.add_html_math_renderer("mathml", (math, None), (math, None))
    app.config.html_math_renderer = "mathml"
    app.connect("source-read", prepare)
    app.connect("autodoc-process-docstring", reference.plain, priority=100)
    app.connect("build-finished", finish)
