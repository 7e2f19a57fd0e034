"""Mistakes that a person can mend: commands print them as one sentence and exit with code 1."""

LONGEST_MESSAGE = 1200
"""In characters; what lists every choice of a long list is the longest."""


class CrossReIDError(Exception):
    """Base of every error whose message is one clear sentence: what is wrong, and what to do.

    Names of files and values of settings stand in messages, and can hold anything: line breaks become spaces, other signs
    that cannot be printed become their codes, and what is far too long is cut.
    """

    def __init__(self, message: object = "") -> None:
        super().__init__(_printable(str(message)))


class ConfigError(CrossReIDError):
    """A setting, or a combination of settings, cannot work."""


class DataError(CrossReIDError):
    """A dataset, a cache or a file of results is missing, damaged or not what it claims to be."""


class NothingToScoreError(DataError):
    """No probe has a true match in the gallery."""


class WriteError(CrossReIDError):
    """A file cannot be written: the disk is full, or the place takes no files; what was there before is whole."""


class OwnedError(CrossReIDError):
    """A run folder belongs to another process."""


class CheckpointError(CrossReIDError):
    """A checkpoint is missing, partial or belongs to another model."""


class OverBudgetError(CrossReIDError):
    """Training took longer than it may; what there is of it is kept, and nothing is scored."""


class NotScoredError(CrossReIDError):
    """A scorer does not take these sets on: it would take hours, or cannot compare them. Commands leave its row out."""


def reason_of(error: object) -> str:
    """What an error of another library says, for a sentence of ours: one line of at most 200 signs, or else its kind."""
    return " ".join(str(error).split())[:200] or type(error).__name__


def _printable(text: str) -> str:
    """One line of signs that a terminal shows."""
    line = " ".join(text.split())
    if not line.isprintable():
        line = "".join(map(_printable_sign, line))
    if len(line) <= LONGEST_MESSAGE:
        return line
    return f"{line[: LONGEST_MESSAGE - 3]}..."


def _printable_sign(sign: str) -> str:
    """A sign that cannot be printed as Python writes it, such as ``\\x1b``."""
    if sign.isprintable():
        return sign
    return ascii(sign)[1:-1]  # without the quotes
