"""Notebooks run from top to bottom, small; their own assertions check the results."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from support import ROOT

SMALL = {
    "01_quick_start.ipynb": """
people_drawn = {"train_ids": 6, "val_ids": 4, "test_ids": 6, "frames": 2}
scale = "smoke"
phases = {"feature": 10, "pixel": 20, "joint": 10}
""",
    "02_five_methods.ipynb": "people = Path(PEOPLE)",
    "03_protocols.ipynb": """
people_drawn = {"train_ids": 2, "val_ids": 2, "test_ids": 8, "frames": 10}
""",
    "04_your_own_images.ipynb": """
people_drawn = {"train_ids": 8, "val_ids": 12, "test_ids": 6, "frames": 3}
strangers = {"train_ids": 1, "val_ids": 0, "test_ids": 4, "frames": 2, "seed": 7}
scale, epochs = "smoke", 1
""",
    "05_adding_a_method.ipynb": """
people_drawn = {"train_ids": 8, "val_ids": 4, "test_ids": 6, "frames": 2}
scale, epochs = "smoke", 1
""",
}
"""Notebook -> other values for its cell of parameters, so that it takes seconds."""
NOTEBOOKS = sorted(path.name for path in (ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.slow
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_notebook_runs(name: str, tmp_path: Path, people_root: Path) -> None:
    notebook = nbformat.read(ROOT / "notebooks" / name, as_version=4)
    (place,) = [i for i, cell in enumerate(notebook.cells) if "parameters" in cell.metadata.get("tags", [])]
    small = SMALL[name].replace("PEOPLE", repr(str(people_root)))
    thin = f"import sys; sys.path.insert(0, {str(ROOT / 'tests')!r}); import thin; thin.narrow()"
    notebook.cells.insert(place + 1, nbformat.v4.new_code_cell(f"{thin}\n{small}"))
    NotebookClient(notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": tmp_path}}).execute()
    assert all(cell.get("execution_count") for cell in notebook.cells if cell.cell_type == "code")


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_is_kept_with_what_it_prints_and_shows(name: str) -> None:
    notebook = nbformat.read(ROOT / "notebooks" / name, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(code) >= 5
    assert all(cell.execution_count for cell in code)  # run as it stands, from top to bottom
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    kept = "".join(output.get("text", "") for cell in code for output in cell.outputs)
    assert kept
    assert "/tmp" not in kept
    pictures = sum("image/jpeg" in output.get("data", {}) for cell in code for output in cell.outputs)
    assert pictures >= 1
