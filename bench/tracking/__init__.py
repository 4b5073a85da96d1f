"""Trackers of experiments: TensorBoard, Weights & Biases, MLflow."""
