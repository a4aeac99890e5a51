"""Tests on real dumps: heaphound's answers against the oracle's, the founding case, and files that are no usable dump."""
