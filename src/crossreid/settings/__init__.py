"""Typed settings: each is written once, with default, meaning, unit, range and choices.

Nothing here imports torch, Lightning or another part of the package: what builds a network, an optimizer or a dataset from
settings stands where that thing stands. Methods' own settings lie with the methods, in ``methods/<name>/config.py``.
"""
