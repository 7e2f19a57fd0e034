"""Many jobs of one command: one after the other, side by side, or on a cluster; what they show, and searches among them."""
