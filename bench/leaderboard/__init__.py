"""From records to tables: rows, ranks, ties, comparisons. Pure, without torch."""
