# Of the output of go test -v: what the shows print, and what has failed.
/^=== RUN +Test/ { show = /TestShow/ }
/^ *--- (FAIL|SKIP)/ { print; next }
/^(ok|FAIL|panic)/ { print; next }
show && (/_test\.go:[0-9]+: / || /^ *--- PASS/) { print }
