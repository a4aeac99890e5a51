"""Where the arguments of a call lie that a Frame of the runtime protects, and which of their words are references."""
