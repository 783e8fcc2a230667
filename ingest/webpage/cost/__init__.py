"""What a page may cost, before a parser sees it: its tags, in time linear in its length."""
