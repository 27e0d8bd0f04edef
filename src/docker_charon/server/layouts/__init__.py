"""OCI image layouts in directories, which the server reads and writes."""
