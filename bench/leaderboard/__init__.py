"""From records to tables: rows, ranks, ties and comparisons. Pure functions, without torch."""
