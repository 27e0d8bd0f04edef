"""What is done with registries and payloads: make, push, inventory."""
