"""The hostile web: a server on loopback that fails in every way that the web does.

`cases` holds the ways, each with the state that a fetch must give it. `hostile_server` serves them,
each under a host of its own, and `pipeline` says how a fetch is pointed there.
"""
