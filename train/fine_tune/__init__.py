"""Fine-tuning the image tower with a head (ALIGN §5.3), on the training engine."""
