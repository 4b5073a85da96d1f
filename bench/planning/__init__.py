"""Planning: from a request and the existing records to the runs that are still to do."""
