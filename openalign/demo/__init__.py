"""The demo's web site and benchmark, made from OpenMoji's images, and their server."""
