"""What a run leaves on disk: its folder, finding it again, reading it."""
