"""From a request and the records to the runs that are still to do."""
