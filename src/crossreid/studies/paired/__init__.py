"""Two methods on the same probes: their scores, and whether the difference would outlive other persons and seeds."""
