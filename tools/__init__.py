"""Programs for the makers of heaphound; the package never imports them."""
