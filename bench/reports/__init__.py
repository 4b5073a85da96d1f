"""Records and tables for the terminal and for files."""
