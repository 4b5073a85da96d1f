"""From a name to a method, protocol or plugin."""
