"""What sites ask of their guests: robots.txt, tdmrep.json, and the opt-outs of pages and images."""
