"""The documentation site: the pages of this folder, the methods' own pages, every setting, and the Python reference.

``make docs`` builds it into ``docs/_build``; warnings are errors. What is made from the code lies in ``docs/generated``.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from sphinx.application import Sphinx

from crossreid.evaluation.published import PUBLISHED
from crossreid.help.texts import TEXTS
from crossreid.settings.commands import COMMANDS
from crossreid.settings.fields import Described, describe
from crossreid.settings.reference import assigned, explained, reference
from crossreid.settings.registry import built_in_methods, method_settings
from crossreid.version import __version__

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
GENERATED = DOCS / "generated"
METHODS = ROOT / "src" / "crossreid" / "methods"

project = "crossreid"
author = "the crossreid authors"
version = release = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"crossreid {__version__}"
html_static_path: list[str] = []
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence", "dollarmath"]
autodoc_typehints = "description"
autodoc_member_order = "bysource"
suppress_warnings = ["misc.highlighting_failure"]  # shell prompts in console blocks
nitpicky = False

_LINK = re.compile(r"\[([^\]]*)\]\(([^)\s]+)\)")


def _rewritten(text: str, source: Path, page: Path) -> str:
    """The text of a file as a page of the site: links to files outside of the site become plain names.

    Args:
        text: Markdown, whose links lead from the file that it lies in.
        source: that file.
        page: where the site has it; the same as source for pages of this folder.
    """

    def rewrite(match: re.Match[str]) -> str:
        name, target = match.groups()
        path, _, anchor = target.partition("#")
        if "://" in target or not path:
            return match[0]
        file = (source.parent / path).resolve()
        if file.name == "README.md" and file.parent.parent == METHODS:
            file = GENERATED / "methods" / f"{file.parent.name}.md"
        if file.is_relative_to(DOCS):
            link = os.path.relpath(file, page.parent)
            return f"[{name}]({link}{'#' + anchor if anchor else ''})"
        return name if name.startswith("`") else f"`{name}`"

    return _LINK.sub(rewrite, text)


def _write(path: Path, text: str) -> None:
    """Only where it changed, so that nothing is built anew in vain."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def _write_methods() -> None:
    names = []
    for readme in sorted(METHODS.glob("*/README.md")):
        names.append(readme.parent.name)
        page = GENERATED / "methods" / f"{names[-1]}.md"
        _write(page, _rewritten(readme.read_text(encoding="utf-8"), readme, page))
    first = ("aligngan", "tsgan", "lba", "jsia", "cmssft", "deen", "mpanet", "best")
    ordered = [*first, *(name for name in names if name not in first)]
    _write(GENERATED / "methods" / "index.md", _contents("Methods, one page each", ordered))


def _write_settings() -> None:
    """A page for each command and each method, from the typed settings."""
    pages = []
    for command in ("train", *COMMANDS):
        pages.append(f"command_{command}")
        _, items = reference(command)
        purpose = TEXTS[command].purpose
        _write(GENERATED / "settings" / f"{pages[-1]}.md", _settings_page(f"crossreid.{command}", purpose, items))
    for name in built_in_methods():
        pages.append(f"model_{name}")
        items = list(describe(method_settings(name)(), "model"))
        purpose = "As `preset=paper` and `scale=paper` have them on SYSU-MM01; other choices set others."
        _write(GENERATED / "settings" / f"{pages[-1]}.md", _settings_page(f"model={name}", purpose, items))
    _write(GENERATED / "settings" / "index.md", _contents("Every setting", pages))


def _settings_page(title: str, purpose: str, items: list[Described]) -> str:
    lines = [f"# `{title}`", "", purpose, "", "| setting | meaning |", "|---|---|"]
    for item in items:
        cells = [f"`{assigned(item)}`", explained(item)]
        lines.append("| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _write_published() -> None:
    lines = [
        "# Published numbers",
        "",
        "As printed, on the real images; what papers contradict themselves in is marked.",
        "",
    ]
    lines += ["| row | protocol | Rank-1 | mAP | inference | source |", "|---|---|---|---|---|---|"]
    for entry in PUBLISHED:
        source = f"{entry.source}; {entry.disputed}" if entry.disputed else entry.source
        name = f"{entry.row}, {entry.variant}" if entry.variant else entry.row
        lines.append(
            f"| `{name}` | `{entry.protocol}` | {entry.rank1} | {entry.mean_ap} | {entry.inference} | {source} |"
        )
    _write(GENERATED / "published.md", "\n".join(lines) + "\n")


def _contents(title: str, pages: list[str]) -> str:
    return "\n".join([f"# {title}", "", "```{toctree}", ":maxdepth: 1", "", *pages, "```", ""])


def _read(app: Sphinx, name: str, source: list[str]) -> None:
    if not name.startswith("generated/"):
        page = DOCS / f"{name}.md"
        source[0] = _rewritten(source[0], page, page)


def setup(app: Sphinx) -> None:
    """Make the pages that come from the code."""
    _write_methods()
    _write_settings()
    _write_published()
    app.connect("source-read", _read)
