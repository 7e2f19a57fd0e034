"""What the fuzzers share: how many cases, from which seed, and small files to damage."""

from pathlib import Path

import pytest

from fuzz.oracle import reach


@pytest.fixture(scope="session")
def small_people(people_root: Path) -> Path:
    """The embedded set in its smoke size, not to be written to."""
    return reach(people_root)
