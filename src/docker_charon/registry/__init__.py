"""The client of the distribution API."""
