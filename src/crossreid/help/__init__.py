"""What commands say of themselves: ``--help``, the list of commands, and words for the shell to complete."""
