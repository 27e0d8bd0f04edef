"""The names that a user gives: which images and tags they stand for."""
