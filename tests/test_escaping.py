"""Names and paths of other people, wherever they are shown."""

import csv
import io
from itertools import pairwise

import pytest
from rich.console import Console
from rich.table import Table

from crossreid.console import as_text, make_console, make_progress, unshortened
from crossreid.escaping import (
    for_csv,
    for_figure,
    for_file_name,
    for_markdown,
    for_terminal,
    from_csv,
    one_line,
)

HOSTILE = (
    "[red]x[/]",
    "a[/b",
    "run [bold",
    ":smile:",
    "\x1b[2J\x1b]0;title\x07",
    "back\rforged",
    "a\u202ecod.exe",
    "\udcff",
)
"""Markup that rich would read or stumble over, and what a terminal would obey."""


def printed(shown: object) -> str:
    """On the console of all commands, which here believes that it is a terminal."""
    screen = make_console(file=io.StringIO(), force_terminal=True, color_system=None, width=300)
    screen.print(shown)
    return screen.file.getvalue()


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_is_shown_literally_in_lines_tables_titles_and_captions(name: str) -> None:
    literal = one_line(name)
    assert not {"\x1b", "\r", "\x07", "\u202e", "\udcff"} & set(literal)
    table = Table(title=name, caption=name)
    table.add_column(name)
    table.add_row(name)
    assert printed(name) == f"{for_terminal(name)}\n"
    assert printed(table).count(literal) == 4
    assert as_text(table).count(literal) == 4
    anybodys = Console(file=io.StringIO(), width=300)  # one that reads markup
    anybodys.print(unshortened(table))
    assert anybodys.file.getvalue().count(literal) == 4
    progress = make_progress()
    progress.add_task(literal, note=name, total=1)
    assert literal in printed(progress.get_renderable())


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_and_path_do_not_end_a_notice(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    import crossreid.console as shared

    fresh = make_console(width=300)
    shared.console.__dict__.update(fresh.__dict__)
    shared.notice(f"Results: /data/{name}\nError: forged")
    out = capsys.readouterr().out
    assert out.count("\n") == 1  # a line break in a name begins no line
    assert one_line(name) in out


def test_markdown_holds_no_markup_of_others() -> None:
    name = "<script>alert(1)</script> | [x](http://evil) **b** `c` _d_ lba_full\n# title"
    text = for_markdown(name)
    assert "<" not in text
    assert "\n" not in text
    for sign in ("|", "[", "]", "*", "`", "#"):
        assert all(before == "\\" for before, found in pairwise(text) if found == sign)
    assert "lba_full" in text
    assert r"\_d\_" in text


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1", "'=1", "''=1", "a=1", "'quoted", 'x,y"z', ""]
)
def test_a_csv_cell_is_no_formula_and_comes_back(text: str) -> None:
    stream = io.StringIO()
    csv.writer(stream).writerow([for_csv(text), for_csv(-0.5), for_csv(3)])
    (cell, number, whole) = next(csv.reader(io.StringIO(stream.getvalue())))
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert (number, whole) == ("-0.5", "3")  # numbers stay numbers
    assert from_csv(cell) == one_line(text)


def test_figures_take_dollar_signs_literally_and_file_names_stay_in_their_folder() -> None:
    from matplotlib.figure import Figure

    for name in ("$x$", r"$\frac{", "$", r"\$5$"):
        figure = Figure()
        figure.subplots().set_title(for_figure(name))
        figure.savefig(io.BytesIO())  # raises where it is read as a formula
    assert for_file_name("../../etc/passwd") == "_.._etc_passwd"
    assert for_file_name("..") == "_"
    assert for_file_name("lba/full, seed 1") == "lba_full_seed_1"
    assert len(for_file_name("x" * 1000)) < 200
