"""From the training manifest to a dual encoder (ALIGN §4.1 and §5), under DeepSpeed ZeRO."""
