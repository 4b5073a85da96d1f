"""What ends a command, a run, or nothing but a run."""


class SslbenchError(Exception):
    """Bad input or a bad environment, in one line; the command line prints it and exits with code 2.

    Raised within a run it costs that run alone, unless it is a ``StorageError``.
    """


class StorageError(SslbenchError):
    """A file cannot be read or written: no other run could escape it."""


class Diverged(Exception):
    """A loss or the features became NaN or infinite."""


class Stopped(Exception):
    """The user asked to stop; what must be kept is written."""
