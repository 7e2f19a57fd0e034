"""One folder a method; what they share stands in :mod:`crossreid.methods.base`, ``nn`` and ``losses``."""
