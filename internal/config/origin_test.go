package config

import (
	"strings"
	"testing"
)

func TestOrigins_print_as_a_file_that_means_the_same(t *testing.T) {
	first := load(t, strings.Replace(minimal, `"data/messages.db"`, `"a \"b\" \\ \u0007\tü.db"`, 1),
		"SIDESTREAM_CRM_DATETIME_ZONE=-07:00", "SIDESTREAM_WRITER_RETENTION=36h", "SIDESTREAM_CRM_ADDRESSES=a:1,b:2", "CRM_MYSQL_ENABLED=off")
	var b strings.Builder
	for _, o := range first.Origins() {
		b.WriteString(o.String() + "\n")
	}
	second := load(t, b.String())
	if first.Hash() != second.Hash() {
		t.Errorf("another configuration:\n%s", b.String())
	}
	if second.Database.Path != "a \"b\" \\ \a\tü.db" || second.CRM.DatetimeZone != "-07:00" || second.CRM.Enabled {
		t.Errorf("values: %+v", second)
	}
}

func TestOrigins_are_a_copy(t *testing.T) {
	c := load(t, minimal)
	c.Origins()[0].Value = "changed"
	if c.Origins()[0].Value != `"data/messages.db"` {
		t.Error("a caller can change them")
	}
}
