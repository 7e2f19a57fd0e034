"""The search page and the endpoint behind it: one application, one implementation of its limits, no request elsewhere."""
