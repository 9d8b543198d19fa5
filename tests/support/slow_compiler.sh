#!/bin/sh
# A C++ compiler that takes its time: it says in the file $STARTED that it runs. It does not keep the streams of its parent open,
# which may be interrupted before it knows this process, and so cannot end it.
: > "$STARTED"
exec sleep 300 < /dev/null > /dev/null 2>&1
