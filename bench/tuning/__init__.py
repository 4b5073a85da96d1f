"""An equal search for every method: ``sslbench tune``."""
