"""Galleries: embedded images that are searched, in memory, in a folder or on a server."""

from crossreid.galleries.gallery import Gallery
from crossreid.galleries.hits import Hits

__all__ = ["Gallery", "Hits"]
