"""Published numbers, each with its source; what papers disagree about is kept as printed and marked ``disputed``.

They come from the real datasets. A number that was reached transductively, with re-ranking or query by query stands only
beside a row of that kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

LITERATURE: Final = (
    "onestream",
    "twostream",
    "zeropadding",
    "bdtr",
    "cmgan",
    "d2rl",
    "xmodality",
    "ddag",
    "agw",
    "agw/caj",
    "strong",
    "deen",
)
"""Rows of other papers; some are methods here, under that name or that name and ``/full``."""

ALL, MULTI, INDOOR, INDOOR_MULTI = (
    f"sysu_mm01/{k}" for k in ("all/single", "all/multi", "indoor/single", "indoor/multi")
)
V2T, T2V = "regdb/visible_to_thermal", "regdb/thermal_to_visible"
Numbers = Mapping[str, tuple[float, float]]
"""Protocol key -> Rank-1 and mAP in percent."""


@dataclass(frozen=True)
class Published:
    """One printed pair of numbers, from the dataset that the protocol's key names.

    Attributes:
        row: an experiment, or a name of :data:`LITERATURE`.
        variant: the row's variant here, such as ``reranked``; empty for the method's own row.
        inference: as in :class:`~crossreid.evaluation.ProtocolLabels`.
        protocol: key.
        rank1: percent, as printed.
        mean_ap: percent, as printed.
        source: where it is printed.
        disputed: what is wrong or contradicted, in one sentence; empty where nothing is known.
    """

    row: str
    variant: str
    inference: str
    protocol: str
    rank1: float
    mean_ap: float
    source: str
    disputed: str = ""

    @property
    def dataset(self) -> str:
        """The real dataset that the number comes from."""
        return self.protocol.split("/", 1)[0]


def _plain(row: str, source: str, numbers: Numbers, disputed: str = "") -> list[Published]:
    return _kind(row, "", "plain", source, numbers, disputed)


def _kind(row: str, variant: str, inference: str, source: str, numbers: Numbers, disputed: str = "") -> list[Published]:
    return [Published(row, variant, inference, key, *pair, source, disputed) for key, pair in numbers.items()]


_ALIGNGAN, _TSGAN, _LBA, _JSIA, _CMSSFT = (
    "AlignGAN (ICCV 2019)",
    "TS-GAN (2020)",
    "LbA (ICCV 2021)",
    "JSIA (2020)",
    "cm-SSFT (CVPR 2020)",
)
_BDTR_GAIN = (
    "Its text claims +23.5/+24.4 over the state of the art, which is against BDTR: D-HSME there leaves +6.1/+7.0."
)
_JSIA_FULL = "Tables 1 and 3 print 43.4/38.0 and 43.2/39.9 for the full model; gains in the text do not fit its tables."
_CAPTION = "cm-SSFT's Table 4 sets 32.7/34.9, which is thermal to visible, beside a visible-to-thermal number."
_GAIN = "Its section 4.3 claims a gain of 12.1 mAP; its numbers give 52.1 - 40.7 = 11.4."
_REGDB_GAIN = "Its text claims +14.4 Rank-1 on RegDB; its table holds IPVT+MSR with 58.8, which leaves +13.5."
_T3 = "cm-SSFT, Table 3, RegDB"

PUBLISHED: Final[tuple[Published, ...]] = (
    *_plain("aligngan/basel", _ALIGNGAN, {ALL: (29.6, 33.0), V2T: (33.1, 35.5)}),
    *_plain("aligngan/basel", _ALIGNGAN, {T2V: (32.7, 34.9)}, _CAPTION),
    *_plain("aligngan/pixalign", _ALIGNGAN, {ALL: (40.6, 38.7)}),
    *_plain("aligngan/featalign", _ALIGNGAN, {ALL: (34.1, 36.2)}),
    *_plain("aligngan/aligngan_minus", _ALIGNGAN, {ALL: (36.2, 34.2)}),
    *_plain("aligngan/full", _ALIGNGAN, {ALL: (42.4, 40.7)}, _BDTR_GAIN),
    *_plain("aligngan/full", _ALIGNGAN, {MULTI: (51.5, 33.9), INDOOR: (45.9, 54.3), INDOOR_MULTI: (57.1, 45.3)}),
    *_plain("aligngan/full", _ALIGNGAN, {T2V: (56.3, 53.4), V2T: (57.9, 53.6)}),
    *_plain("tsgan/backbone", _TSGAN, {ALL: (41.4, 39.9)}),
    *_plain("tsgan/od_single_ts", _TSGAN, {ALL: (44.2, 44.1)}, "Its text says 44.5 Rank-1, its table 44.2."),
    *_plain("tsgan/od_all_ts", _TSGAN, {ALL: (47.6, 44.5)}),
    *(
        entry
        for row in ("tsgan/jd_all_ts", "tsgan/jd_all_ts_rerank")
        for entry in _plain(
            row,
            _TSGAN,
            {ALL: (49.8, 47.4), MULTI: (56.1, 38.5), INDOOR: (50.4, 63.1), INDOOR_MULTI: (59.3, 50.2)},
        )
    ),
    *_kind(
        "tsgan/jd_all_ts_rerank",
        "reranked",
        "re-ranked",
        _TSGAN,
        {ALL: (58.3, 55.1), MULTI: (55.9, 39.7), INDOOR: (62.1, 71.3), INDOOR_MULTI: (59.7, 50.9)},
    ),
    *_plain("lba/baseline", _LBA, {ALL: (50.43, 49.54)}),
    *_plain("lba/ic", _LBA, {ALL: (54.44, 52.88)}),
    *_plain("lba/dt_noA", _LBA, {ALL: (50.38, 50.08)}),
    *_plain("lba/dt", _LBA, {ALL: (51.06, 51.23)}),
    *_plain("lba/ic_dt_noA", _LBA, {ALL: (53.44, 52.78)}),
    *_plain("lba/full_l4", _LBA, {ALL: (54.63, 53.02)}),
    *_plain("lba/full_l5", _LBA, {ALL: (54.66, 53.81)}),
    *_plain("lba/full", _LBA, {ALL: (55.41, 54.14), INDOOR: (58.46, 66.33), V2T: (74.17, 67.64), T2V: (72.43, 65.46)}),
    *_plain("jsia/none", _JSIA, {ALL: (32.1, 31.9)}),
    *_plain("jsia/sl", _JSIA, {ALL: (35.1, 33.8)}),
    *_plain("jsia/il", _JSIA, {ALL: (36.0, 35.5)}),
    *_plain("jsia/sl_il", _JSIA, {ALL: (38.1, 36.9)}),
    *_plain("jsia/sl_il_lr", _JSIA, {ALL: (40.5, 38.3)}),
    *_plain("jsia/full", f"{_JSIA}, Table 1", {ALL: (43.4, 38.0)}, _JSIA_FULL),
    *_plain("jsia/full", f"{_JSIA}, Table 3", {ALL: (43.2, 39.9)}, _JSIA_FULL),
    *_plain("jsia/full", _JSIA, {MULTI: (49.7, 30.0), INDOOR: (46.8, 54.7), INDOOR_MULTI: (57.8, 44.3)}),
    *_plain("jsia/full", _JSIA, {T2V: (51.3, 52.0), V2T: (52.1, 51.9)}),
    *_plain("jsia/degraded_sl", _JSIA, {ALL: (40.0, 37.5)}),
    *_plain("jsia/degraded_lr", _JSIA, {ALL: (41.9, 38.9)}),
    *_plain("cmssft/shl", _T3, {V2T: (42.4, 45.0)}),
    *_plain("cmssft/shl", f"{_CMSSFT}, Table 4", {ALL: (38.2, 39.8)}, _GAIN),
    *_plain("cmssft/spl", _T3, {V2T: (48.1, 49.3)}),
    *_plain("cmssft/spl_moa", _T3, {V2T: (56.1, 57.2)}),
    *_plain("cmssft/spl_moa_pa", _T3, {V2T: (58.7, 57.9)}),
    *_plain("cmssft/spl_moa_pa_re", _T3, {V2T: (60.3, 59.4)}),
    *_kind("cmssft/sht_spt", "all_queries", "transductive", _T3, {V2T: (60.8, 60.1)}),
    *_kind("cmssft/sht_spt_moa", "all_queries", "transductive", _T3, {V2T: (67.5, 67.6)}),
    *_kind("cmssft/sht_spt_moa_pa", "all_queries", "transductive", _T3, {V2T: (71.1, 71.2)}),
    *_kind("cmssft/sht", "all_queries", "transductive", _T3, {V2T: (65.8, 66.1)}),
    *_kind("cmssft/spt", "all_queries", "transductive", _T3, {V2T: (64.9, 65.3)}),
    *_kind("cmssft/full", "all_queries", "transductive", _T3, {V2T: (72.3, 72.9)}, _REGDB_GAIN),
    *_kind(
        "cmssft/full",
        "all_queries",
        "transductive",
        _CMSSFT,
        {
            ALL: (61.6, 63.2),
            MULTI: (63.4, 62.0),
            INDOOR: (70.5, 72.6),
            INDOOR_MULTI: (73.0, 72.4),
            T2V: (71.0, 71.7),
        },
    ),
    *(
        entry
        for row in ("cmssft/full", "cmssft/queries")
        for entry in _kind(
            row,
            "single_query",
            "single query",
            _CMSSFT,
            {ALL: (47.7, 54.1), MULTI: (57.4, 59.1), V2T: (65.4, 65.6), T2V: (63.8, 64.2)},
        )
    ),
    *_plain("cmssft/shl_no_augmentation", _CMSSFT, {ALL: (25.5, 27.2), V2T: (29.5, 30.8)}),
    *_kind(
        "cmssft/full_no_augmentation",
        "all_queries",
        "transductive",
        _CMSSFT,
        {ALL: (52.4, 52.1), V2T: (62.2, 63.0)},
        _GAIN,
    ),
    *_plain(
        "hog/full",
        _ALIGNGAN,
        {ALL: (2.76, 4.24), MULTI: (3.82, 2.16), INDOOR: (3.22, 7.25), INDOOR_MULTI: (4.75, 3.51)},
    ),
    *_plain("onestream", _ALIGNGAN, {ALL: (12.1, 13.7)}),
    *_plain("twostream", _ALIGNGAN, {ALL: (11.7, 12.9)}),
    *_plain(
        "zeropadding",
        _ALIGNGAN,
        {ALL: (14.8, 16.0)},
        "Rank-10 is 52.2 in AlignGAN, JSIA and TS-GAN, 54.1 in cm-SSFT; RegDB mAP 31.9 in AlignGAN and JSIA, 18.9 in LbA and "
        "cm-SSFT.",
    ),
    *_plain("bdtr", _ALIGNGAN, {ALL: (17.0, 19.7)}, "LbA prints 27.32/27.32, which is another version of the method."),
    *_plain("cmgan", _ALIGNGAN, {ALL: (27.0, 27.8)}, "LbA prints 31.49 mAP."),
    *_plain("d2rl", _JSIA, {ALL: (28.9, 29.2)}),
    *_plain(
        "xmodality",
        _LBA,
        {ALL: (49.9, 50.7)},
        "LbA's RegDB numbers of this row, 61.80/68.06, are those of its DDAG row.",
    ),
    *_plain("ddag", "DDAG (ECCV 2020)", {ALL: (54.75, 53.02)}),
    *_plain("agw", "AGW (TPAMI 2021)", {ALL: (47.50, 47.65)}),
    *_plain("agw/caj", "CAJ (ICCV 2021)", {ALL: (69.88, 66.89)}),
    *_plain("strong", "LuckyDC/RGB-IR-ReID-Baseline", {ALL: (57.51, 54.60)}),
    *_plain("deen", "DEEN (CVPR 2023)", {ALL: (74.7, 71.8)}),
)


def published(name: str, variant: str, inference: str, protocol: str) -> tuple[Published, ...]:
    """What is printed for a row of ours, several numbers where a paper contradicts itself; often none.

    ``NAME`` and ``NAME/full`` are one row. The way of inference must be the same.
    """
    names = {name, name.removesuffix("/full"), f"{name}/full"}
    return tuple(
        entry
        for entry in PUBLISHED
        if entry.row in names and (entry.variant, entry.inference, entry.protocol) == (variant, inference, protocol)
    )
