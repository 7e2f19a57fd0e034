"""Many runs beside each other and beside the published numbers: what ``crossreid.report`` gathers and shows."""
