"""Protocols from settings: draws, splits, and what is refused."""

from pathlib import Path

import pytest

from crossreid.errors import ConfigError, DataError
from crossreid.evaluation import SysuMM01Protocol
from crossreid.protocols import Scored, protocol_config


def draw(root: Path | None, **settings: object) -> str:
    first = protocol_config({"name": "sysu_mm01", **settings}).build(Scored(root)).test[0]
    assert isinstance(first, SysuMM01Protocol)
    return first.draw


def test_the_official_draw_is_used_where_it_is_and_its_lack_is_said(
    tmp_path: Path, people_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert draw(people_root) == "official"
    assert draw(people_root, draw="seeded") == "seeded"
    assert capsys.readouterr().out == ""
    for root in (tmp_path, None):
        assert draw(root) == "seeded"
        assert "rand_perm_cam.mat was not found, so galleries are drawn by seed" in capsys.readouterr().out
    with pytest.raises(DataError, match=r"gone\.mat"):
        draw(tmp_path, permutations=str(tmp_path / "gone.mat"))


def test_a_reranked_row_stands_beside_the_plain_one_and_says_what_it_is() -> None:
    plain = protocol_config({"name": "sysu_mm01"}).scorers()
    assert set(plain) == {""}
    both = protocol_config({"name": "sysu_mm01", "rerank": True, "reranking": {"k1": 7}}).scorers()
    assert set(both) == {"", "reranked"}
    assert both[""] == plain[""]
    assert "re-ranked (k1 7, k2 6, lambda 0.3)" in both["reranked"].label
    assert both["reranked"].transductive
    with pytest.raises(ConfigError, match="at least 1"):
        protocol_config({"name": "sysu_mm01", "reranking": {"k1": 0}})
