"""From an encoder to scores: features, protocols, test labels."""
