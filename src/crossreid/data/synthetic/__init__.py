"""Synthetic people: clothed, walking bodies by day and by night, in the layouts of SYSU-MM01 and RegDB; no download is needed.

Example:
    >>> from pathlib import Path
    >>> from crossreid.data.synthetic import SyntheticPeople, write_sysu_layout
    >>> write_sysu_layout(Path("data/synthetic"), SyntheticPeople(), workers=2)  # doctest: +SKIP
"""

from crossreid.data.synthetic.layout import write_sysu_layout
from crossreid.data.synthetic.regdb import write_regdb_layout
from crossreid.settings.data import RegDBPeople, SyntheticPeople

__all__ = ["RegDBPeople", "SyntheticPeople", "write_regdb_layout", "write_sysu_layout"]
