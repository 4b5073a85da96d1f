"""Records and tables made visible: terminal, Markdown, CSV, JSON, LaTeX."""
