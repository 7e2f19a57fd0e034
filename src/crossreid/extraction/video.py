"""Pictures of videos, by their number; PyAV decodes them (extra ``video``)."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from PIL import Image

from crossreid.data.image_files import LARGEST, UnreadableImageError
from crossreid.errors import ConfigError, reason_of

VIDEO_SUFFIXES = (".mp4", ".avi", ".mkv", ".mov", ".webm")


def check_videos(paths: tuple[Path, ...]) -> None:
    """Raise :class:`ConfigError` where there are videos and PyAV is not installed."""
    videos = [path for path in paths if path.suffix.lower() in VIDEO_SUFFIXES]
    if videos and find_spec("av") is None:
        raise ConfigError(f"'{videos[0]}' is a video, which needs the package av: pip install 'crossreid[video]'.")


class VideoPictures:
    """The pictures of one video at a time, which are asked for in ascending order where it is to be fast."""

    def __init__(self) -> None:
        self._path: Path | None = None
        self._pictures: Iterator[Image.Image] = iter(())
        self._next = 0

    def picture(self, path: Path, number: int | None) -> Image.Image:
        """A picture in RGB.

        Args:
            path: the video.
            number: of the picture, from 0 in the order in which they are shown.

        Raises:
            UnreadableImageError: the video is damaged, too large or too short, or no number is given.
        """
        if number is None:
            raise UnreadableImageError(path, "a manifest's column frame says which picture of a video is meant")
        try:
            if path != self._path or number < self._next:
                self._open(path)  # decoding goes forwards only: from the beginning again
            while self._next < number:
                next(self._pictures)
                self._next += 1
            self._next += 1
            return next(self._pictures)
        except StopIteration:
            self._path = None
            raise UnreadableImageError(path, f"it has no picture {number}") from None
        except UnreadableImageError:
            self._path = None
            raise
        except Exception as error:  # a damaged file makes PyAV raise nearly anything
            self._path = None
            raise UnreadableImageError(path, reason_of(error)) from error

    def _open(self, path: Path) -> None:
        self._path = path
        self._next = 0
        self._pictures = _pictures_of(path)


def _pictures_of(path: Path) -> Iterator[Image.Image]:
    import av  # noqa: PLC0415 - extra `video`

    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        if stream.width * stream.height > LARGEST:
            raise UnreadableImageError(path, f"it claims {stream.width} x {stream.height} pixels")
        for frame in container.decode(stream):
            picture: Any = frame
            yield picture.to_image()
