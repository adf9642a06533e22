#!/bin/sh
# Two sidecars and no JavaScript: bob finds alice, tells the network something, and asks who is there. What alice's program
# would read is printed. Run it after `npm run build`: sh examples/sidecar.sh
set -eu
synapse="node $(dirname "$0")/../dist/bin.js"

# Commands go in on stdin, one a line; closing it stops the node with grace.
(
  sleep 2
  echo '{"ref":1,"command":"broadcast","type":"NEWS","payload":{"text":"hello from a shell"}}'
  echo '{"ref":2,"command":"peers"}'
  sleep 1
) | $synapse start --port 0 --bootstrap 127.0.0.1:9474 --json >/dev/null 2>&1 &

sleep 6 | $synapse start --port 9474 --json 2>/dev/null
wait
