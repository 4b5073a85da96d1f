"""Registry: find methods by name, and load plugins."""
