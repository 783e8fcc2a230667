"""ALIGN's rules on texts and images, as plain functions over batches."""
