"""Fine-tuning the image tower with a head (ALIGN §5.3), as plain functions; nothing runs them."""
