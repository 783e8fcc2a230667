"""The engine `img2dataset`: its own Downloader, in an environment of its own."""
