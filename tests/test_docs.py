"""The documentation site builds, and nothing in it points nowhere."""

import subprocess
import sys
from pathlib import Path

import pytest

from support import ROOT

pytest.importorskip("sphinx", reason="the site needs the extra `docs`")


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", "-d", tmp_path / "doctrees"]
    done = subprocess.run([*command, "docs", tmp_path / "site"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    pages = {path.stem for path in (tmp_path / "site").glob("*.html")}
    assert {"index", "settings", "reference", "responsible_use", "troubleshooting"} <= pages
    assert 'id="crossreid.extraction.extractor.Extractor"' in (tmp_path / "site" / "reference.html").read_text()
