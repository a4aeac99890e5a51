"""One module per verb: its name, its help, its options, and the one call of the library that it makes."""
