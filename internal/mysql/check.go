package mysql

import (
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"sidestream/replicator"
)

// Finding is what one check found. Status is "ok", "warn" or "fail".
type Finding struct {
	Name, Status, Text, Hint string
}

// Check looks at everything that applying relies on and changes nothing, except
// that it creates missing state tables like a first start would. A row that it
// tries is rolled back; what a trigger writes for it into a table without
// transactions (MyISAM) stays. Each finding is reported as soon as it is known: a
// server that does not answer makes the next one late.
func (t *Target) Check(ctx context.Context, report func(Finding)) {
	s, err := t.ready(ctx)
	if err != nil {
		f := classify(err)
		report(Finding{"connect", "fail", f.Error(), f.Hint})
		return
	}
	t.checkServer(ctx, s, report)
	_, err = t.Load(ctx)
	if err != nil {
		f := replicator.AsFailure(err)
		report(Finding{"table", "fail", f.Error(), f.Hint})
		if f.Reason == reasonNoTable || isConnectionLoss(f.Err) {
			return // no GRANT helps against that
		}
	}
	for _, f := range t.rights(ctx, s) {
		report(f)
	}
	if err != nil {
		return
	}
	report(Finding{"state", "ok", "the state tables are there", ""})
	for _, f := range t.checkTable() {
		report(f)
	}
	report(t.checkRoundTrip(ctx, s))
	if open := t.DeadLettersOpen(); open > 0 {
		report(Finding{"dead letters", "warn", fmt.Sprintf("%d open", open), "replicator dead-letters list"})
	}
}

// checkServer looks at the server and the connection.
func (t *Target) checkServer(ctx context.Context, s *session, report func(Finding)) {
	add := func(name, status, text, hint string) { report(Finding{name, status, text, hint}) }
	var version, tlsCipher, now string
	_ = s.conn.QueryRowContext(ctx, "SELECT VERSION()").Scan(&version)
	add("connect", "ok", s.address+", "+version, "")

	var name string
	if err := s.conn.QueryRowContext(ctx, "SHOW STATUS LIKE 'Ssl_cipher'").Scan(&name, &tlsCipher); err == nil {
		if tlsCipher == "" && !isLocal(s.address) {
			add("tls", "warn", "the connection to another host is not encrypted", `set crm.tls = "verify-full", or "required" at least`)
		} else if (t.opt.TLS.Mode == "" || t.opt.TLS.Mode == "preferred") && !isLocal(s.address) {
			add("tls", "warn", "encrypted, but the server is not verified, and an attacker can switch encryption off", `set crm.tls = "verify-full"`)
		} else {
			add("tls", "ok", orText(tlsCipher, "not encrypted, on this host"), "")
		}
	}
	if err := s.conn.QueryRowContext(ctx, "SELECT UNIX_TIMESTAMP(CURRENT_TIMESTAMP(6))").Scan(&now); err == nil {
		seconds, _ := strconv.ParseFloat(now, 64)
		skew := time.Duration((seconds - float64(time.Now().UnixMicro())/1e6) * float64(time.Second)).Round(time.Millisecond)
		if skew.Abs() > 5*time.Second {
			add("clock", "warn", fmt.Sprintf("the server's clock differs by %s", skew), "synchronise both hosts' clocks")
		} else {
			add("clock", "ok", "the clocks agree", "")
		}
	}
	add("packet", "ok", fmt.Sprintf("max_allowed_packet %d bytes; statements stay below half", s.maxPacket), "")
}

// checkTable judges the CRM's columns as the last Load found them.
func (t *Target) checkTable() []Finding {
	found := t.table.Load()
	findings := []Finding{{"table", "ok", t.opt.Database + "." + t.opt.Table + ", InnoDB", ""}}
	c := t.opt.Columns
	for _, name := range []string{c.UserID, c.Username, c.Message} {
		switch charset := found.columns[lower(name)].charset; charset {
		case "utf8mb4", "":
		default:
			findings = append(findings, Finding{"charset", "warn", fmt.Sprintf("column %s is %s: characters it lacks (emoji, for one) are %s", name, charset, t.policy()), "ALTER the column to utf8mb4"})
		}
	}
	written := map[string]bool{c.ID: true, c.UserID: true, c.Username: true, c.Direction: true, c.Message: true, c.CreatedAt: true}
	for _, e := range t.names.extra {
		written[e.name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(found.columns)) {
		if found.columns[name].required && !containsFold(written, name) {
			findings = append(findings, Finding{"columns", "fail", fmt.Sprintf("column %s must be given a value, and there is none for it: the server refuses every row (1364)", name), "give the column a DEFAULT, or let it be NULL"})
		}
	}
	if strings.Contains(lower(found.columns[lower(c.CreatedAt)].extra), "on update") {
		findings = append(findings, Finding{"created_at", "warn", c.CreatedAt + " changes by itself at every UPDATE: when the CRM's people change a row, its time moves, and a later edit or unsend will not find it", "drop ON UPDATE CURRENT_TIMESTAMP from the column"})
	}
	if found.maxID > 0 && t.tail.length > 0 {
		free := 1 - float64(t.tail.lastID())/found.maxID
		status := "ok"
		if free < 0.2 {
			status = "warn"
		}
		findings = append(findings, Finding{"ids", status, fmt.Sprintf("%.1f %% of the id range is free", 100*free), "widen the id column to BIGINT"})
	}
	return findings
}

func containsFold(names map[string]bool, name string) bool {
	for n := range names {
		if strings.EqualFold(n, name) {
			return true
		}
	}
	return false
}

func (t *Target) policy() string {
	if t.opt.ParkUnsupported {
		return "parked"
	}
	return "replaced and counted"
}

func orText(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

// isLocal reports whether an address is on this host.
func isLocal(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return strings.HasPrefix(address, "/")
	}
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}
