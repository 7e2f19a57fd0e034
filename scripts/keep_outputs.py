"""Run the notebooks from top to bottom and keep what they print and show, so that a code host shows it too.

    python scripts/keep_outputs.py [NAME ...]

Pictures are made small, and what names this machine (folders, times that W&B and progress bars print) is left out.
"""

from __future__ import annotations

import base64
import io
import re
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from PIL import Image

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
WIDEST = 560
"""Pixels of a kept picture."""
_TEMPORARY = re.compile(re.escape(tempfile.gettempdir()) + r"/tmp\w+/?")


def keep_outputs(path: Path) -> None:
    """Run one notebook and write it with its outputs."""
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        resources = {"metadata": {"path": folder}}
        NotebookClient(notebook, timeout=3600, kernel_name="python3", resources=resources).execute()
        for cell in notebook.cells:
            cell.metadata.pop("execution", None)
            if cell.cell_type == "code":
                cell.outputs = [cleaned(output, folder) for output in cell.outputs if output.get("name") != "stderr"]
    notebook.metadata.pop("widgets", None)
    nbformat.write(notebook, path)


def cleaned(output: dict, folder: str) -> dict:
    """An output without this machine's folders, with small pictures."""
    if "text" in output:
        output["text"] = _TEMPORARY.sub("", output["text"].replace(folder, "."))
    data = output.get("data", {})
    for kind in ("text/plain", "text/html"):
        if kind in data:
            data[kind] = _TEMPORARY.sub("", data[kind].replace(folder, "."))
    if "image/png" in data:
        data["image/jpeg"] = small(data.pop("image/png"))
    return output


def small(encoded: str) -> str:
    """A JPEG of at most :data:`WIDEST` pixels."""
    with Image.open(io.BytesIO(base64.b64decode(encoded))) as image:
        picture = image.convert("RGB")
    if picture.width > WIDEST:
        picture = picture.resize((WIDEST, round(picture.height * WIDEST / picture.width)))
    stream = io.BytesIO()
    picture.save(stream, format="JPEG", quality=82, optimize=True)
    return base64.b64encode(stream.getvalue()).decode("ascii")


if __name__ == "__main__":
    for name in sys.argv[1:] or sorted(file.name for file in NOTEBOOKS.glob("*.ipynb")):
        keep_outputs(NOTEBOOKS / name)
        print(name, round((NOTEBOOKS / name).stat().st_size / 2**10), "KiB")
