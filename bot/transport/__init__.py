"""How bytes arrive: rel's loop, one connection per stream, HTTP calls with a deadline. Nothing in here knows Vega."""
