"""The one error that a user sees: a single line that says what is wrong, where, and what to do."""


class SslbenchError(Exception):
    """Bad input or a bad environment, in one line; the command line prints it and exits with code 2."""
