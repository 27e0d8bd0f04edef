"""The payload file: its format, and how it is written, read, inspected and verified."""
