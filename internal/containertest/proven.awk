# Of the output of go test -v: what each test says, and at the end the list of
# what was proven. It fails where something has not passed.
/^=== / { current = $3; next }
/^ *--- / {
	result = $2
	sub(/:$/, "", result)
	if (result != "PASS") other++
	else passed++
	name = $3
	gsub("_", " ", name)
	list[++n] = sprintf("  %-6s%s %s", result, name, $4)
	next
}
/^(PASS|ok)/ { next }
/^(FAIL|panic)/ { other++ }
{
	if (current != shown) print "\n" current
	shown = current
	print
	fflush()
}
END {
	print "\nProven:"
	for (i = 1; i <= n; i++) print list[i]
	printf "%d passed, %d did not\n", passed, other
	exit other > 0 || passed == 0
}
