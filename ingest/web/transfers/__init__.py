"""Transfers by libcurl: connections, sockets and descriptors, certificates, encodings."""
