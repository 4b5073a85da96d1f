"""Published comparisons as data files: ``NAME.toml`` beside this file, or a file of one's own; imports no torch."""
