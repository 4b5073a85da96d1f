"""Training on two devices computes what training on one device computes: every method, loss and gradients."""

