"""Protocols from settings: draws, splits, and what is refused."""

from pathlib import Path
from typing import Any

import pytest

from crossreid.errors import ConfigError, DataError
from crossreid.evaluation import SysuMM01Protocol
from crossreid.evaluation.building import Scored, build_protocols, build_scorers
from crossreid.settings.protocol import RerankingConfig, SysuProtocolConfig


def draw(root: Path | None, **settings: Any) -> str:
    first = build_protocols(SysuProtocolConfig(**settings), Scored(root)).test[0]
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
    plain = build_scorers(SysuProtocolConfig())
    assert set(plain) == {""}
    both = build_scorers(SysuProtocolConfig(rerank=True, reranking=RerankingConfig(k1=7)))
    assert set(both) == {"", "reranked"}
    assert both[""] == plain[""]
    assert "re-ranked (k1 7, k2 6, lambda 0.3)" in both["reranked"].label
    assert both["reranked"].transductive
    with pytest.raises(ConfigError, match=r"protocol\.reranking\.k1 is 0: choose 1 or more"):
        SysuProtocolConfig(reranking=RerankingConfig(k1=0)).check()
