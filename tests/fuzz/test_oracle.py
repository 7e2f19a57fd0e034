"""The fuzzers' judge can say no."""

import time
from pathlib import Path

import pytest

from crossreid.errors import ConfigError
from fuzz.oracle import Hang, check_sentence, ends_well, untouched


def test_another_exception_is_not_a_sentence() -> None:
    with pytest.raises(KeyError):
        ends_well(lambda: {}["missing"])


def test_what_hangs_is_ended_whatever_it_catches() -> None:
    def stubborn() -> None:
        while True:
            try:
                time.sleep(10)
            except Exception:
                continue

    with pytest.raises(Hang):
        ends_well(stubborn, seconds=1)


@pytest.mark.parametrize(
    "sentence",
    ["", "two\nlines", "ListConfig", "of type NoneType", "a ValueError in it", "Hydra", "no setting of AGWConfig"],
)
def test_a_sentence_is_in_the_words_of_the_settings(sentence: str) -> None:
    with pytest.raises(AssertionError):
        check_sentence(sentence)


def test_what_a_mistake_says_is_one_line() -> None:
    def refuse() -> None:
        raise ConfigError("name is 'a\nb\x1b[31m': " + "x" * 10_000)

    given, sentence = ends_well(refuse)
    assert given is None
    assert sentence.startswith("name is 'a b\\x1b[31m': x")


def test_a_changed_and_a_new_file_are_seen(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("old")
    for name in ("old", "new.partial"):
        with pytest.raises(AssertionError), untouched(tmp_path):
            (tmp_path / name).write_text("other")
