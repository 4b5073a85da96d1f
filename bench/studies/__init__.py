"""Published comparisons, repeated: each study is a TOML file, here or the user's. Imports no torch."""
