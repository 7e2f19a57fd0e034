"""Search a gallery for the person of an image.

``python -m crossreid.search gallery=street.gallery checkpoint=RUN query=night.png modality=infrared top_k=20``
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from crossreid.console import console, notice, unshortened
from crossreid.launch import run_command
from crossreid.optimiser import refuse_optimiser
from crossreid.settings.compose import Composed, typed
from crossreid.settings.galleries import SearchConfig

if TYPE_CHECKING:
    from crossreid.galleries import Hits
    from crossreid.galleries.hits import Match

_SHOWN = 20
_SHOWN_QUERIES = 5


def main() -> None:
    """The command."""
    run_command("search", search)


def search(composed: Composed) -> None:
    """Search for what is named, show the ranked lists and keep them where asked for."""
    config = typed(SearchConfig, composed)
    refuse_optimiser("search")
    from crossreid.extraction.extractor import make_extractor  # noqa: PLC0415 - torch is imported behind the first checks
    from crossreid.extraction.storage import load_extracted  # noqa: PLC0415
    from crossreid.galleries import Gallery  # noqa: PLC0415
    from crossreid.galleries.gallery import require_gallery  # noqa: PLC0415
    from crossreid.galleries.judging import chosen_calibration  # noqa: PLC0415
    from crossreid.galleries.sheet import save_sheet  # noqa: PLC0415
    from crossreid.runs.outputs import check_outputs  # noqa: PLC0415

    written = _places({"output": config.output, "sheet": config.sheet})
    read = _places(
        {
            "gallery": config.gallery,
            "query": config.query,
            "embeddings": config.embeddings,
            "checkpoint": config.checkpoint,
            "calibration": config.calibration,
        }
    )
    outputs = check_outputs("search", config, written, read)
    require_gallery(config.gallery)
    if config.checkpoint is not None:
        extractor = make_extractor(config.checkpoint, config)
        gallery = Gallery.open(config.gallery, model=extractor)
    else:
        gallery = Gallery.open(config.gallery)
    gallery.prepare(config.filter)  # refused before queries are embedded
    calibration = chosen_calibration(gallery, config.calibration, config.checkpoint)
    if config.embeddings:
        queries = load_extracted(config.embeddings)
    else:  # the settings refuse a query without a checkpoint
        queries = extractor(config.query or "", config.modality)
    hits = gallery.search(
        queries,
        config.top_k,
        filter=config.filter,
        exclude_camera=config.exclude_camera,
        exclude_seconds=config.exclude_seconds,
        rerank=config.rerank,
        calibration=calibration,
        false_match_rate=config.false_match_rate,
        per_camera=config.per_camera,
    )
    with outputs.written():
        if config.output is not None:
            notice(f"Ranked lists: {hits.save(config.output)}")
        if config.sheet is not None:
            notice(f"Contact sheet: {save_sheet(hits, config.sheet)}")
    show(hits, len(gallery))


def _places(named: Mapping[str, str | None]) -> dict[str, list[Path]]:
    """Settings that name a file or folder, as :func:`check_outputs` takes them."""
    places = {}
    for key, place in named.items():
        if place is not None:
            places[key] = [Path(place)]
    return places


def show(hits: Hits, images: int) -> None:
    """Print the first images of the first queries, which were found among so many."""
    if hits.rule is not None:
        _say_matches(hits, hits.rule.rate, images)
    for place in range(min(len(hits), _SHOWN_QUERIES)):
        console.print(unshortened(_table_of(hits, place)))
    if len(hits) > _SHOWN_QUERIES:
        notice(f"{len(hits) - _SHOWN_QUERIES} more queries: write all lists with output=FILE.csv.")


def _say_matches(hits: Hits, rate: float, images: int) -> None:
    """What a match means among so many images, and whom nobody matches."""
    by_chance = rate * images
    notice(
        f"A match is what one pair of two persons in {1 / rate:.0f} would reach too: of {images} images some "
        f"{by_chance:.1g} by chance, for each query."
    )
    names = hits.queries.columns["id"]
    lonely = [str(names[place]) for place in range(len(hits)) if hits.nobody(place)]
    if not lonely:
        return
    listed = ", ".join(lonely[:_SHOWN_QUERIES])
    if len(lonely) > _SHOWN_QUERIES:
        listed += f" and {len(lonely) - _SHOWN_QUERIES} more"
    notice(f"Nobody in the gallery matches {listed}.")


def _table_of(hits: Hits, place: int) -> Table:
    """The first images that were found for a query."""
    found = hits.lists[place]
    matches = hits.matches(place)
    table = Table(title=f"Query {hits.queries.columns['id'][place]}")
    further = [name for name in ("camera", "time", "track") if name in found.columns]
    headings = ["rank", "score"]
    if hits.rule is not None:
        headings += ["match", "probability"]
    headings += ["modality", *further, "image"]
    for heading in headings:
        table.add_column(heading)
    for rank, score in enumerate(hits.scores[place][:_SHOWN].tolist()):
        cells = [str(rank + 1), f"{score:.3f}"]
        if hits.rule is not None:
            cells += _words(matches[rank])
        cells.append(found.modalities[rank])
        for name in further:
            cells.append(str(found.columns[name][rank]))
        cells.append(str(found.columns["id"][rank]))
        table.add_row(*cells)
    return table


def _words(match: Match) -> tuple[str, str]:
    """Whether an image matches, and how probable that is, for a table."""
    if match.matches is None or match.probability is None:
        return "not known", ""
    answer = "yes" if match.matches else "no"
    return answer, f"{match.probability:.2f}"


if __name__ == "__main__":
    main()
