"""Processes that do not run the user's script once more: scripts without ``if __name__ == "__main__":`` come to their end."""

import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from crossreid.spawning import without_main

DRAWS = """
import sys
from pathlib import Path
from crossreid.data.synthetic.layout import write_sysu_layout
from crossreid.settings.data import SyntheticPeople

people = SyntheticPeople(train_ids=2, val_ids=1, test_ids=2, frames=1)
write_sysu_layout(Path(sys.argv[1]) / "people", people, workers=2)
print("once")
"""

DECODES = """
import multiprocessing
import sys
from pathlib import Path
from crossreid.extraction import pixels
from crossreid.extraction.images import list_source
from crossreid.settings.data import DecodingConfig

multiprocessing.set_start_method("spawn", force=True)  # as it is where there is no fork
pixels._FEW = 0
images = list_source(Path(sys.argv[1]), "visible")
chunks = pixels.file_chunks(images, range(len(images.paths)), DecodingConfig(), (8, 4), workers=2, processes=True)
print("once", sum(len(chunk.rows) for chunk in chunks))
"""


def output_of(script: str, folder: Path) -> list[str]:
    """Lines that a script prints which is given a folder; it has two minutes."""
    path = folder / "script.py"
    path.write_text(script, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(path), str(folder)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_script_that_has_people_drawn_runs_once(tmp_path: Path) -> None:
    assert output_of(DRAWS, tmp_path) == ["once"]
    assert (tmp_path / "people" / "manifest.json").is_file()


def test_a_script_whose_images_are_decoded_by_processes_runs_once(tmp_path: Path) -> None:
    for number in range(3):
        Image.fromarray(np.full((8, 4, 3), number, np.uint8)).save(tmp_path / f"{number}.png")
    assert output_of(DECODES, tmp_path) == ["once 3"]


def test_the_script_is_there_again_afterwards() -> None:
    before = sys.modules["__main__"]
    with without_main():
        assert not hasattr(sys.modules["__main__"], "__file__")
    assert sys.modules["__main__"] is before
