"""What compares or measures runs and models."""
