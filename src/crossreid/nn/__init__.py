"""Blocks that two or more methods share; plain torch modules that know neither Lightning, Hydra nor datasets."""
