"""``python -m crossreid``: the commands, a line each."""

from __future__ import annotations

from crossreid.console import console
from crossreid.version import __version__

COMMANDS = {
    "train": "train a method, score it, show what it learned",
    "evaluate": "score a checkpoint, or embeddings from anywhere",
    "report": "gather runs into tables beside the published numbers",
    "check": "examine a copy of a dataset",
    "cost": "parameters and milliseconds per image of every method",
    "auxiliary": "cm-SSFT: how many unlabelled queries its transfer needs",
    "extract": "embed images of one's own",
    "index": "a gallery of embedded images: add, info, remove, build",
    "search": "the images of a gallery that are most like a query",
    "image_quality": "JSIA-ReID: how consistent generated images are",
}
"""Command -> what it does."""


def main() -> None:
    """Print the commands."""
    console.print(f"crossreid {__version__}: person re-identification between visible and infrared cameras\n")
    for command, meaning in COMMANDS.items():
        console.print(f"  python -m crossreid.{command:<14} {meaning}")
    console.print("\nStart with: python -m crossreid.train model=aligngan; each command takes --help.")


if __name__ == "__main__":
    main()
