"""The flows between registries and payloads: make, push and inventory."""
