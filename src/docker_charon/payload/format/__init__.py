"""The format of a payload: the entries of the zip, and the documents that describe them."""
