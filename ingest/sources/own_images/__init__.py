"""Images that lie somewhere already, as candidates: in tars, in folders, in tables of paths."""
