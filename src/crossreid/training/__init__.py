"""What surrounds a method in a run: trainer, checkpoints, loggers, progress, scoring."""
