"""Classification without training: by prompts (ALIGN §5.2), and by near images (§6).

Both count class by class, with `tasks.per_class_measures`.
"""
