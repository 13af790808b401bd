# Of the output of go test -v and docs/GUARANTEES.md: each row of the page with
# its tests and their results. It fails where one has not passed.
FNR == NR {
	if ($1 == "---") {
		result = $2
		sub(/:$/, "", result)
		if (results[$3] != "FAIL") results[$3] = result
	}
	next
}
/^## / { section = substr($0, 4) }
/\[`Test/ {
	split($0, cells, " *\\| *")
	fault = $0 ~ /^\|/ ? cells[2] : section
	if (section != printed) print "\n" section
	printed = section
	print "  " fault
	line = $0
	while (match(line, /\[`Test[A-Za-z_0-9\/]*/)) {
		name = substr(line, RSTART + 2, RLENGTH - 2)
		line = substr(line, RSTART + RLENGTH)
		result = name in results ? results[name] : "not run"
		if (result == "PASS") passed++
		else other++
		printf "    %-8s %s\n", result, name
	}
}
END {
	printf "\n%d passed, %d did not\n", passed, other
	exit other > 0
}
