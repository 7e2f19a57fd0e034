"""What the pages show: every command composes, and README's and docs' commands and Python run, small, on one shared folder."""

from __future__ import annotations

import csv
import importlib
import re
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import pytest
from PIL import Image

from crossreid.data.datasets import read_sysu_mm01
from crossreid.settings.commands import COMMANDS
from crossreid.settings.compose import compose, run_config, typed
from crossreid.settings.overrides import with_action, with_paths_quoted
from layouts import write_small_folder, write_small_llcm, write_small_regdb
from support import ROOT, newest_run

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
PAGES += sorted((ROOT / "docs").glob("*.md")) + sorted((ROOT / "docs" / "evidence").glob("*.md"))
RECIPE = ROOT / "docs" / "recipe.md"
"""A page whose commands build on each other: one test gives all of them."""
METHOD_READMES = sorted((ROOT / "src" / "crossreid" / "methods").glob("*/README.md"))
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^python -m crossreid\.(\w+) ?([^#\n]*)", re.MULTILINE)
SHOWN_ONLY = ("text", "yaml", "toml", "markdown")
"""Kinds of blocks that show what a reader's own package or output looks like; tests/plugins executes the packages."""
SPEAKING = ("settings", "completion")
"""Commands that only print what is known; tests/help executes them."""


def commands(pages: list[Path]) -> list[tuple[str, str]]:
    """(module, arguments) of every command in a block, each once."""
    found: dict[tuple[str, str], None] = {}
    for page in pages:
        for kind, block in BLOCK.findall(page.read_text(encoding="utf-8")):
            if kind not in SHOWN_ONLY:
                for module, arguments in COMMAND.findall(block):
                    if module not in SPEAKING:
                        found[module, arguments.strip()] = None
    return list(found)


def jobs(arguments: str) -> list[list[str]]:
    """The override lists of one command; -m takes them apart at commas. Hydra's own options and settings say nothing."""
    words = with_paths_quoted(with_action(shlex.split(arguments)))
    words = [word for word in words if not word.startswith(("hydra.", "--")) and word != "job"]
    if "-m" not in words:
        return [words]
    words.remove("-m")
    choices = [[f"{word.split('=')[0]}={value}" for value in word.split("=")[1].split(",")] for word in words]
    return [list(job) for job in product(*choices)]


# ---------------------------------------------------------------- everything composes


def test_there_are_commands_to_check() -> None:
    assert {module for module, _ in commands(PAGES)} == {"train", *COMMANDS}
    assert {module for module, _ in commands(METHOD_READMES)} >= {"train", "auxiliary", "image_quality", "cost"}


@pytest.mark.parametrize(("module", "arguments"), commands(PAGES + METHOD_READMES))
def test_command_composes(module: str, arguments: str) -> None:
    for overrides in jobs(arguments):
        composed = compose(module, overrides)
        if module == "train":
            run_config(composed)
        else:
            typed(COMMANDS[module], composed)


# ---------------------------------------------------------------- the commands of README and docs run


@dataclass(frozen=True)
class Workplace:
    """A folder in which the pages' commands are given.

    Attributes:
        path: the folder; the embedded people of scale=smoke lie where a run looks for them.
        roots: what a page calls a dataset's folder -> a small copy on disk.
        placeholders: what a page leaves to the reader -> what it is here.
    """

    path: Path
    roots: dict[str, Path]
    placeholders: dict[str, str]


@contextmanager
def at(place: Path) -> Iterator[None]:
    """Another working folder, for fixtures that outlive a test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        yield


def give(module: str, words: list[str]) -> None:
    """A command's real `main`, in this process; anything but exit code 0 is an error."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [f"crossreid.{module}", *words])
        code: object = 0
        try:
            importlib.import_module(f"crossreid.{module}").main()
        except SystemExit as stop:
            code = stop.code
    assert not code, f"python -m crossreid.{module} {' '.join(words)}"


SMALL = ["trainer=cpu", "trainer.progress=false", "report.figures=false"]


def train_row(row: str) -> str:
    """A run where `sweep=comparison` would put it, once; returns its folder."""
    folder = f"multirun/comparison/{row.replace('/', '_')}_seed0"
    give("train", [f"experiment={row}", "scale=smoke", f"run_dir={folder}", "existing=continue", *SMALL])
    return folder


def write_crops(path: Path, people_root: Path) -> None:
    """One's own images as the page on search has them: a folder and a manifest, of the people's test images."""
    lines = ["path,modality,camera,time,track,person"]
    (path / "day").mkdir()
    for place, record in enumerate(read_sysu_mm01(people_root, None, name="synthetic").records):
        if record.modality == "visible" and place % 10 == 0:
            (path / "day" / f"c{record.camid}_{place:04d}.jpg").symlink_to(record.path)
        lines.append(
            f"{record.path},{record.modality},{record.camid},{1000 * place},{record.pid}_{record.camid},{record.pid}"
        )
        if record.modality == "infrared":
            night = record
    (path / "people.csv").write_text("\n".join(lines))
    (path / "night.csv").write_text("\n".join([lines[0], lines[-1]]))
    Image.open(night.path).save(path / "night.png")


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory, people_root: Path) -> Workplace:
    """The people, small copies of the real layouts, and finished runs where the pages say that they lie."""
    path = tmp_path_factory.mktemp("workplace")
    (path / "datasets").mkdir()
    (path / "datasets" / "synthetic-smoke").symlink_to(people_root)
    roots = {
        "/data/SYSU-MM01": people_root,
        "/elsewhere/SYSU-MM01": people_root,
        "/my/set": people_root,
        "/data/RegDB": write_small_regdb(path / "regdb", people_root),
        "/data/LLCM": write_small_llcm(path / "llcm", people_root),
        "/my/images": write_small_folder(path / "folder", people_root),
        "/other/images": write_small_folder(path / "other", people_root),
    }
    with at(path):
        give("train", ["model=aligngan", "scale=smoke", "run_dir=outputs/demo", *SMALL])
        train_row("lba/full")
        write_crops(path, people_root)
    placeholders = {
        "RUN_FOLDER": "outputs/demo",
        "RUN": "outputs/demo",
        "FILE.npz": "outputs/demo/embeddings.npz",
        "FILE.mat": str(people_root / "exp" / "rand_perm_cam.mat"),
        "FILE.json": "scores.json",
    }
    return Workplace(path, roots, placeholders)


NEEDS_A_RUN_OF = {"auxiliary": "cmssft/full", "image_quality": "jsia/full"}
ONLY_COMPOSED = {
    "second=": "two methods' embeddings or runs; tests/studies/test_paired.py makes both",
    "trainer=ddp": "several GPUs; tests/test_ddp.py runs two processes on the CPU",
    "weights/": "a public code's file of some 300 MB; tests/importing makes one",
}
"""Sign of a command that is composed above and not given here -> why."""
QUICK_MODULES = ("evaluate", "report", "check", "extract", "index", "search", "serve", "demo")
SHORT = {
    "check": ["progress=false"],
    "extract": ["device=cpu", "workers=0", "progress=false"],
    "index": ["device=cpu", "workers=0", "progress=false"],
    "search": ["device=cpu", "workers=0", "progress=false"],
    "serve": ["device=cpu", "workers=0", "progress=false"],
    "demo": ["device=cpu", "workers=0", "progress=false"],
    "compare_embeddings": ["bootstrap=100", "progress=false"],
    "export": [],
    "calibrate": ["figure=false", "trainer=cpu", "trainer.progress=false"],
    "evaluate": ["report.figures=false", "trainer=cpu", "trainer.progress=false"],
    "report": ["bootstrap=100", "figure=false"],
    "dashboard": [],
    "visualize": ["trainer=cpu", "trainer.progress=false", "training=false", "count=2"],
    "cost": ["scale=smoke", "models=[lba,hog]", "size=null", "runs=1", "warmup=0", "batches=[1]"],
    "auxiliary": ["sizes=[1,4]", "figure=false", "trainer=cpu"],
    "image_quality": [
        *("iterations=2", "judge.iterations=2", "images=1"),
        *("figure=false", "progress=false", "device=cpu"),
    ],
    "train": ["scale=smoke", *SMALL, "report.untrained=false", "report.modality_pairs=false"],
}
"""Command -> settings that keep it short."""


def small_words(module: str, arguments: str, place: Workplace) -> list[str]:
    """A page's command, at the size of a test and with the reader's folders in the places of names."""
    words = []
    for word in shlex.split(arguments):
        key, _, value = word.partition("=")
        if key == "checkpoint" and module in NEEDS_A_RUN_OF:
            value = value.replace("RUN", train_row(NEEDS_A_RUN_OF[module]))
        for name, meant in place.placeholders.items():
            value = value.replace(name, meant)
        if key in ("experiment", "seed", "model.w_dt", "sizes") and "," in value and "-m" in arguments:
            value = ",".join(value.split(",")[:2]) if key == "experiment" else value.split(",")[0]
        if key in ("scale", "trainer", "trainer.devices"):
            continue
        if key == "dimensions":  # thin networks have 64
            value = "8"
        words.append(f"{key}={place.roots.get(value, value)}" if value else key)
    return [*words, *extra_words(module, words)]


def extra_words(module: str, words: list[str]) -> list[str]:
    """Settings that keep a command short, and that take small copies of the real sets as they are."""
    extra = list(SHORT[module])
    if module == "visualize" and any(word.startswith("images=") for word in words):
        extra.remove("training=false")  # of a dataset's persons
    real = any(word in words for word in ("data=sysu_mm01", "data=regdb", "data=llcm"))
    if real and "data.counts=any" not in words:
        extra.append("data.counts=any")
    for word in words:
        extra += FEW_JOBS.get(word, [])
    return extra


FEW_JOBS = {
    "sweep=comparison": ["experiment=onestream/full,hog/full", "seed=0"],
    "sweep=aligngan/ablation": ["experiment=aligngan/basel,aligngan/pixalign", "seed=0"],
    "sweep=regdb_splits": ["data.split=1,2"],
    "sweep=reproduce": ["experiment=hog/full,onestream/full", "preset=paper", "hydra.sweeper.seeds=[0]"],
}
"""Sweep -> the two of its jobs that are given here."""


def given_here() -> list[pytest.param]:
    """Every command of README and docs, the long ones marked."""
    cases = []
    for module, arguments in commands([page for page in PAGES if page != RECIPE]):
        reasons = [reason for sign, reason in ONLY_COMPOSED.items() if sign in arguments]
        marks = [pytest.mark.skip(reason=reasons[0])] if reasons else []
        if module not in QUICK_MODULES and "--cfg" not in arguments:
            marks.append(pytest.mark.slow)
        cases.append(pytest.param(module, arguments, marks=marks, id=f"{module} {arguments}"))
    return cases


@pytest.mark.parametrize(("module", "arguments"), given_here())
def test_command_runs(module: str, arguments: str, workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workplace.path)
    looked_at = look_instead_of_serving(monkeypatch)
    make_what_it_reads(module, arguments)
    give(module, small_words(module, arguments, workplace))
    assert (looked_at == ["/", "/api"]) == (module in SERVERS)


def make_what_it_reads(module: str, arguments: str) -> None:
    """What commands before this one on the page make: another process may have been given those."""
    reads_gallery = module in (*SERVERS, "search", "calibrate") or arguments.startswith(("info", "build", "remove"))
    for word in shlex.split(arguments):
        if word.startswith("gallery=") and reads_gallery:
            give("index", ["add", word, "checkpoint=outputs/demo", "images=people.csv", *SHORT["index"]])
        if word == "embeddings=people.npz" and not Path("people.npz").is_file():
            give("extract", ["checkpoint=outputs/demo", "images=people.csv", "output=people.npz", *SHORT["extract"]])


def look_instead_of_serving(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Where a command would serve, its pages are asked for, and it ends; returns what was asked for."""
    from starlette.testclient import TestClient

    from crossreid.settings.web import WebConfig
    from crossreid.web import running
    from crossreid.web.application import make_application
    from crossreid.web.service import SearchService

    looked_at: list[str] = []

    def look(service: SearchService, config: WebConfig, *, browser: bool = False) -> None:
        app = make_application(service, hosts=running.allowed_hosts(config))
        with TestClient(app, base_url=f"http://{config.names[0] if config.names else config.host}") as client:
            for page in ("/", "/api"):
                assert client.get(page).status_code == 200
                looked_at.append(page)

    monkeypatch.setattr(running, "run_server", look)
    return looked_at


@pytest.mark.slow
def test_the_recipe_leads_from_nothing_to_the_page(
    tmp_path: Path, people_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "synthetic-smoke").symlink_to(people_root)
    looked_at = look_instead_of_serving(monkeypatch)
    exec(compile(python_blocks(RECIPE), str(RECIPE), "exec"), {})
    few_persons = ["split=test", "rates=[0.5]", "between=[visible-infrared]"]  # too few for the page's own
    for module, arguments in commands([RECIPE]):
        further = few_persons if module == "calibrate" else []
        give(module, [*shlex.split(arguments), *SHORT[module], *further])
    assert looked_at == ["/", "/api"]
    with (tmp_path / "hits.csv").open(newline="") as stream:
        hits = list(csv.DictReader(stream))
    night = list((tmp_path / "street" / "night").iterdir())
    assert len(hits) == 5 * len(night)
    assert {hit["match"] for hit in hits} <= {"True", "False"}
    assert all(0 <= float(hit["probability"]) <= 1 for hit in hits)
    with (tmp_path / "again.csv").open(newline="") as stream:
        again = {(hit["query"], hit["rank"]): hit for hit in csv.DictReader(stream)}
    for hit in hits:
        assert float(again[hit["query"], hit["rank"]]["score"]) == pytest.approx(float(hit["score"]), abs=1e-4)
    assert (tmp_path / "hits.html").is_file()


SERVERS = ("serve", "demo")


def test_what_is_not_given_here_is_still_on_a_page() -> None:
    shown = "\n".join(arguments for _, arguments in commands(PAGES))
    assert all(sign in shown for sign in ONLY_COMPOSED)


# ---------------------------------------------------------------- Python


def python_blocks(page: Path) -> str:
    """The Python of a page, as one program."""
    return "\n".join(block for kind, block in BLOCK.findall(page.read_text(encoding="utf-8")) if kind == "python")


@pytest.mark.slow
@pytest.mark.parametrize("page", ["README.md", "docs/python.md", "docs/search.md", "docs/export.md"])
def test_python_runs(page: str, workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workplace.path)
    program = python_blocks(ROOT / page)
    assert "crossreid." in program
    names: dict[str, object] = {}
    exec(compile(program, page, "exec"), names)
    assert newest_run(workplace.path / "outputs")
    if page == "docs/python.md":
        assert type(names["again"]) is type(names["same"])


def test_python_is_short_where_it_comes_first() -> None:
    lines = [line for line in python_blocks(ROOT / "README.md").splitlines() if line.strip()]
    assert len(lines) <= 10


# ---------------------------------------------------------------- links, length, words


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


def test_links_and_pictures_are_there() -> None:
    for page in PAGES + METHOD_READMES:
        text = BLOCK.sub("", page.read_text(encoding="utf-8"))
        for target, _, heading in re.findall(r"\]\((?!http)([^)#]*)(#([^)]+))?\)", text):
            place = Path(page.parent, target) if target else page
            assert place.exists(), f"{page}: {target}"
            if heading:
                assert heading in headings(place), f"{page}: {target}#{heading}"


def headings(page: Path) -> set[str]:
    """The anchors of a page's headings."""
    lines = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", line).strip().lower().replace(" ", "-") for line in lines}


def test_every_page_is_reached_from_the_readme() -> None:
    reached: set[Path] = set()
    left = [ROOT / "README.md"]
    while left:
        page = left.pop()
        if page in reached:
            continue
        reached.add(page)
        for target in re.findall(r"\]\((?!http)([^)#]+\.md)", page.read_text(encoding="utf-8")):
            left.append(Path(page.parent, target).resolve())
    assert set(PAGES + METHOD_READMES) <= reached


def test_every_method_is_in_the_readme() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for readme in METHOD_READMES:
        assert f"[`{readme.parent.name}`]" in text
