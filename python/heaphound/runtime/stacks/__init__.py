"""Managed stacks: unwinding, the runtime's explicit Frames, and the walk over both."""
