"""From an exported model to results, a report and search (ALIGN §5.1 and §7)."""
