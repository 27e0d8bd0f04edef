"""Values of the OCI specifications: digests, descriptors, manifests, names. No I/O."""
