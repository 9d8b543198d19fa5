#!/bin/sh
# A C++ compiler that takes its time: it says in the file $STARTED that it runs.
: > "$STARTED"
exec sleep 300
