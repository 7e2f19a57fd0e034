"""Weights of public codes: their files to checkpoints, and checkpoints to their files."""
