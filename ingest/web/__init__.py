"""The polite client: how hosts are asked for pages, images and robots.txt."""
