"""Tests: `unit` needs no dump, `dumps` runs on real dumps that `lab` makes."""
