#!/bin/sh
# Two markets are two processes, on one key or two; each ends with its own orders cancelled:
#   tests/recipes/two_markets.sh MARKET_ID MARKET_ID
bots=
for market; do
    MARKET_ID=$market "${PYTHON:-.venv/bin/python}" -m main &
    bots="$bots $!"
done
trap 'kill $bots' INT TERM
wait
wait
