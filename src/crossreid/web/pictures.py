"""Pictures that go out: only those that somebody was shown the token of, made small, encoded anew."""

from __future__ import annotations

import base64
import hashlib
import hmac
import io
import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from crossreid.data.decoding import Decoder
from crossreid.data.image_files import UnreadableImageError
from crossreid.data.records import Modality
from crossreid.extraction.images import PersonBox
from crossreid.extraction.pixels import cut_out
from crossreid.extraction.video import VIDEO_SUFFIXES, VideoPictures

_REMEMBERED = 20_000
"""Tokens that are known at a time: the oldest is forgotten first."""
_SIDE = 384
"""Largest height and width of a picture that goes out."""


@dataclass(frozen=True)
class KnownPicture:
    """A picture that a token stands for.

    Attributes:
        path: the file.
        modality: by which it is decoded.
        box: the part of the picture that is meant; None for all of it.
        frame: the picture of a video; None for image files.
    """

    path: Path
    modality: Modality
    box: PersonBox | None = None
    frame: int | None = None


class PictureBook:
    """Tokens of pictures, which say nothing of files, and cannot be guessed.

    Args:
        decoder: of the files.
    """

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._secret = secrets.token_bytes(32)
        self._known: OrderedDict[str, KnownPicture] = OrderedDict()
        self._lock = threading.Lock()

    def token(self, picture: KnownPicture) -> str:
        """The token of a picture, the same each time."""
        box = None
        if picture.box is not None:
            box = tuple(picture.box)
        # Keyed by a secret of this process: nobody can work out the token of a file that they only know by name.
        text = f"{picture.modality} {box} {picture.frame} {picture.path}".encode(errors="surrogateescape")
        token = hmac.new(self._secret, text, hashlib.sha256).hexdigest()[:32]
        with self._lock:
            self._known[token] = picture
            self._known.move_to_end(token)
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return token

    def known(self, token: str) -> KnownPicture | None:
        """What a token stands for; None where nobody was given it, or long ago."""
        with self._lock:
            return self._known.get(token)

    def decoded(self, picture: KnownPicture) -> Image.Image:
        """What is meant of a file, in its own size.

        Raises:
            UnreadableImageError: the file is gone or damaged, or the box lies outside.
        """
        if picture.path.suffix.lower() in VIDEO_SUFFIXES:
            whole = VideoPictures().picture(picture.path, picture.frame)
        else:
            whole = self._decoder.decode(picture.path, picture.modality).image
        return cut_out(whole, picture.box, picture.path)

    def jpeg(self, picture: KnownPicture) -> bytes:
        """A small picture; grey where the file is gone or cannot be read."""
        try:
            image = self.decoded(picture)
        except UnreadableImageError:
            image = Image.new("RGB", (96, 192), (160, 160, 160))
        image.thumbnail((_SIDE, _SIDE))
        stream = io.BytesIO()
        image.save(stream, "JPEG", quality=88)
        return stream.getvalue()


def as_data_url(pixels: npt.NDArray[np.uint8]) -> str:
    """RGB (H, W, 3) as a PNG inside an address, which a page shows without another request."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    encoded = base64.b64encode(stream.getvalue()).decode()
    return f"data:image/png;base64,{encoded}"
