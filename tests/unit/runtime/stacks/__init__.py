"""Tests of heaphound.runtime.stacks."""
