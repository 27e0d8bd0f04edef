"""Payloads that the server reads, and rebuilds blobs from."""
