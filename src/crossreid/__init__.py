"""Person re-identification between visible and infrared cameras."""
