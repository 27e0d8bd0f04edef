"""The signature of a payload: how it is made with ``ssh-keygen``, and verified."""
