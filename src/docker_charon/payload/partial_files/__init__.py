"""The file of a payload that is not complete, and how the next run continues with it."""
