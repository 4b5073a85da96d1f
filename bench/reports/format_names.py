"""Names of the text formats of a leaderboard, which the command line reads without loading the formats."""

NAMES = ("markdown", "csv", "json", "latex")
